package ssf_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/ssf"
)

// What a receiver is told is what the specifications say, to the letter.
func TestClaims(t *testing.T) {
	at := time.Unix(1_700_000_000, 999)
	state := "<&>"
	person, err := ssf.About(ssf.Identifier{Format: ssf.IssSub, Issuer: "https://a.example", Sub: "s"}, "")
	if err != nil {
		t.Fatal(err)
	}
	session, err := ssf.About(ssf.Identifier{Format: ssf.Email, Email: "a@b.example"}, "sid")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		e    ssf.Event
		want string
	}{
		{
			ssf.Event{Kind: ssf.SessionRevoked, Subject: session, Cause: "c", Facts: ssf.Facts{By: ssf.ByAdmin, Reason: "why"}},
			`"txn":"c","sub_id":{"format":"complex","user":{"format":"email","email":"a@b.example"},"session":{"format":"opaque","id":"sid"}},"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{"event_timestamp":1700000000,"initiating_entity":"admin","reason_admin":{"en":"why"}}}}`,
		},
		{
			ssf.Event{Kind: ssf.CredentialChange, Subject: person, Facts: ssf.Facts{By: ssf.ByUser, Reason: "why", Credential: ssf.Password, Change: ssf.Update}},
			`"sub_id":{"format":"iss_sub","iss":"https://a.example","sub":"s"},"events":{"https://schemas.openid.net/secevent/caep/event-type/credential-change":{"change_type":"update","credential_type":"password","event_timestamp":1700000000,"initiating_entity":"user","reason_admin":{"en":"why"}}}}`,
		},
		{
			ssf.Event{Kind: ssf.TokenClaimsChange, Subject: person, Facts: ssf.Facts{By: ssf.BySystem, Reason: "why"}},
			`"sub_id":{"format":"iss_sub","iss":"https://a.example","sub":"s"},"events":{"https://schemas.openid.net/secevent/caep/event-type/token-claims-change":{"claims":{"roles":[]},"event_timestamp":1700000000,"initiating_entity":"system","reason_admin":{"en":"why"}}}}`,
		},
		{
			ssf.Event{Kind: ssf.Verification, Subject: ssf.AboutItself("x"), Facts: ssf.Facts{State: &state}},
			`"sub_id":{"format":"opaque","id":"x"},"events":{"https://schemas.openid.net/secevent/ssf/event-type/verification":{"state":"\u003c\u0026\u003e"}}}`,
		},
		{
			ssf.Event{Kind: ssf.Verification, Subject: ssf.AboutItself("x")},
			`"sub_id":{"format":"opaque","id":"x"},"events":{"https://schemas.openid.net/secevent/ssf/event-type/verification":{}}}`,
		},
		{
			ssf.Updated("x", ssf.Paused, "why", at),
			`"sub_id":{"format":"opaque","id":"x"},"events":{"https://schemas.openid.net/secevent/ssf/event-type/stream-updated":{"reason":"why","status":"paused"}}}`,
		},
	} {
		tt.e.ID, tt.e.At = "j", at
		got, err := tt.e.Claims("https://a.example", "shop")
		if want := `{"iss":"https://a.example","jti":"j","iat":1700000000,"aud":"shop",` + tt.want; err != nil || string(got) != want {
			t.Errorf("%s: %v\n\t%s\nwant\t%s", tt.e.Kind, err, got, want)
		}
	}
}

// Two that are named alike are one, and nobody else is.
func TestKeys(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, i := range []ssf.Identifier{
		{Format: ssf.IssSub, Issuer: "a", Sub: "b"}, {Format: ssf.IssSub, Issuer: "ab", Sub: ""}, {Format: ssf.IssSub, Issuer: "a", Sub: "c"}, {Format: ssf.Opaque, ID: "b"}, {Format: ssf.Email, Email: "b"},
	} {
		if was, ok := seen[i.Key()]; ok {
			t.Errorf("%+v is %s", i, was)
		}
		seen[i.Key()] = fmt.Sprint(i)
	}
}

// What a receiver says of why it does not take an event is not kept, but for its code.
func TestSetErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"err":"invalid_key","description":"free text"}`: "invalid_key", `{"err":"two words"}`: "", `{"err":"` + strings.Repeat("x", 65) + `"}`: "", `{"err":1}`: "", `<html>`: "", ``: "", `{"err":"a\nb"}`: "",
	} {
		if got := ssf.ParseSetError([]byte(text)); got.Err != want || got.Description != "" {
			t.Errorf("%s is read as %+v", text, got)
		}
	}
	p, err := ssf.ParsePoll([]byte(`{"setErrs":{"a":{"err":"x y","description":"z"}},"ack":["b"],"maxEvents":1000000}`))
	if err != nil || p.Errors["a"] != (ssf.SetError{}) || p.Most != ssf.MostPolled || p.Immediate {
		t.Errorf("%+v, %v", p, err)
	}
}

// No body makes a parser fail in another way than by a fault that says what is wrong.
func FuzzRequests(f *testing.F) {
	for _, text := range []string{
		`{"stream_id":"x","events_requested":["a"],"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://a.example","authorization_header":"x"},"aud":["a"]}`,
		`{"subject":{"format":"complex","user":{"format":"email","email":"a@b.example"}}}`, `{"ack":["a"],"setErrs":{"b":{"err":"c"}}}`, `{"status":"paused","reason":"\u0000"}`, `{"state":null}`, `[]`, `{"a":1,"a":2}`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := ssf.ParseConfiguration(body)
		told(t, err)
		if err == nil && c.Delivery != nil && c.Delivery.Method == ssf.Push && c.Delivery.Endpoint == "" {
			t.Errorf("pushed to nowhere: %q", body)
		}
		status, err := ssf.ParseStatus(body)
		told(t, err)
		if err == nil && status.Status != ssf.Enabled && status.Status != ssf.Paused && status.Status != ssf.Disabled {
			t.Errorf("%q has the status %q", body, status.Status)
		}
		subject, err := ssf.ParseSubject(body)
		told(t, err)
		if err == nil {
			if text, _ := json.Marshal(subject.Subject); len(text) < len(`{"format":"opaque","id":"x"}`) {
				t.Errorf("%q is of nobody: %s", body, text)
			}
		}
		_, err = ssf.ParseVerification(body)
		told(t, err)
		p, err := ssf.ParsePoll(body)
		told(t, err)
		if err == nil && (p.Most < 0 || p.Most > ssf.MostPolled) {
			t.Errorf("%q asks for %d", body, p.Most)
		}
		ssf.ParseSetError(body)
	})
}

func told(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v is no fault", err)
	}
}
