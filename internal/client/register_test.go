package client

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What a client may say of itself follows the registry of such names: each field of a
// Registration stands there, or is an administrator's.
func TestRegistrable(t *testing.T) {
	ours := []string{
		"skip_consent", "require_pkce", "access_token_ttl", "refresh_token_ttl", "refresh_token_rotation", "rotation_grace", "assertion_audience", "workloads",
		"id_token_claims",
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Registration]()) {
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if slices.Contains(ours, name) == slices.Contains(standard, name) {
			t.Errorf("%s is to be an administrator's, or of the registry: one of the two", name)
		}
	}
}

// However a name is spelled that is not of the registry, it does nothing.
func TestReadMetadata(t *testing.T) {
	m, err := readMetadata([]byte(`{"skip_consent":true,"SKIP_CONSENT":true,"Skip_Consent":true,"require_pkce":false,"access_token_ttl":1,"workloads":[{}],"status":"active","roles":["admin"],
		"Redirect_URIs":["https://a.example/"],"registration":{"skip_consent":true},"Registration":{"skip_consent":true},"client_name":null,"id_token_claims":true,"audiences":["urn:a"],"request_uris":7}`))
	if err != nil || !reflect.DeepEqual(m, metadata{}) {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzReadMetadata(f *testing.F) {
	f.Add([]byte(`{"redirect_uris":["https://a.example/"],"jwks":{"keys":[]},"skip_consent":true}`))
	f.Add([]byte(`{"contacts":[null],"default_max_age":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := readMetadata(body)
		if err == nil && (m.SkipConsent || m.IDTokenClaims || m.RequirePKCE != nil || m.AccessTTL != 0 || m.RefreshTTL != 0 || m.Rotation != "" || m.RotationGrace != 0 || m.Workloads != nil || m.AssertionAudience != "") {
			t.Errorf("%q is read as %+v", body, m)
		}
	})
}
