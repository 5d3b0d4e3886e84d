package scenarios

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// shotsDir is where the pictures of the documentation go: go test ./scenarios -run TestScreenshots -shots ../docs/dashboard
var shotsDir = flag.String("shots", "", "write pictures of every page into this directory")

// shoot takes pictures of a page: light, dark, and on a phone.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if *shotsDir == "" {
		return
	}
	take := func(suffix string) {
		var text []byte
		var height int64
		width := int64(1280)
		if suffix == "-phone" {
			width = 390
		}
		b.do(chromedp.Evaluate(`document.documentElement.scrollHeight`, &height))
		b.size(width, max(height, 800), suffix == "-phone") // what sticks to the window's edge is then at the page's edge
		b.do(chromedp.CaptureScreenshot(&text))
		b.size(width, 844, suffix == "-phone")
		if err := os.WriteFile(filepath.Join(*shotsDir, name+suffix+".png"), smaller(b.t, text), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.scheme("light")
	take("")
	b.scheme("dark")
	take("-dark")
	b.scheme("light")
	b.size(390, 844, true)
	take("-phone")
	b.size(1280, 900, false)
}

// smaller keeps the 256 colours that are most frequent, which is nearly all that our pages have.
func smaller(t *testing.T, text []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	at := img.Bounds()
	seen := map[color.RGBA]int{}
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			seen[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	all := slices.SortedFunc(maps.Keys(seen), func(a, b color.RGBA) int { return seen[b] - seen[a] })
	colours := make(color.Palette, 0, 256)
	for _, c := range all[:min(len(all), 256)] {
		colours = append(colours, c)
	}
	nearest := map[color.RGBA]uint8{}
	out := image.NewPaletted(at, colours)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			i, known := nearest[c]
			if !known {
				i = uint8(colours.Index(c))
				nearest[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestScreenshots(t *testing.T) {
	if *shotsDir == "" {
		t.Skip("-shots is not set")
	}
	if err := os.MkdirAll(*shotsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	b := open(t, w.program)
	b.goTo("/ui/login")
	b.shoot("login")
	b.signIn(opsToken)
	b.shoot("tenants")
	for _, pg := range w.pages() {
		b.goTo("/ui/t/acme" + pg.path)
		if pg.then != nil {
			pg.then(b)
		}
		b.shoot(pg.name)
	}
}
