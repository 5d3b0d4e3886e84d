package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
)

//go:embed static
var staticFiles embed.FS

// static serves the style sheet, scripts and icons. Their address holds a hash of all of them, so that browsers may keep them for ever.
type static struct {
	prefix string
	files  map[string][]byte
}

func newStatic() (*static, error) {
	s := &static{files: map[string][]byte{}}
	sum := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		s.files[name[len("static/"):]] = text
		sum.Write([]byte(name))
		sum.Write(text)
		return nil
	})
	s.prefix = "/ui/static/" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"
	return s, err
}

// url is the address of one file.
func (s *static) url(name string) string { return s.prefix + name }

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := s.files[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(r.PathValue("file"))))
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if s.prefix == "/ui/static/"+r.PathValue("hash")+"/" {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Write(text)
}
