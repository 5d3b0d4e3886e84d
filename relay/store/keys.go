package store

import "fmt"

// The keys. After the prefix comes the tenant, which the caller has from the token and not from the request, so that whatever is read or written by key
// can only be the tenant's own.
//
//	object/TENANT\0KIND\0ID            the current version
//	version/TENANT\0ID\0REVISION       an earlier one
//	token/TENANT\0ID                   a token; * for those of several tenants
//	secret/TENANT\0WEBHOOK\0FIELD      a generated signing secret
//	replay/TENANT\0HASH                the answer to an Idempotency-Key
//	audit/TENANT\0TIME                 an entry of the audit log, the newest first
//	store/key                          by which the master key is recognised
const (
	objectPrefix  = "object/"
	versionPrefix = "version/"
	tokenPrefix   = "token/"
	secretPrefix  = "secret/"
	replayPrefix  = "replay/"
	auditPrefix   = "audit/"
	checkKeyName  = "store/key"
)

func objectKey(o *Object) string { return objectPrefix + o.Tenant + "\x00" + o.Kind + "\x00" + o.ID }

func versionsOf(o *Object) string { return versionPrefix + o.Tenant + "\x00" + o.ID + "\x00" }

func versionKey(o *Object, revision int) string {
	return fmt.Sprintf("%s%08x", versionsOf(o), revision)
}

func secretKey(tenant, webhook, field string) string {
	return secretPrefix + tenant + "\x00" + webhook + "\x00" + field
}
