//go:build interop

package e2e_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const deviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// TestInteropDevice signs in devices without a browser by golang.org/x/oauth2, which
// sends a client's id alone to begin with, and by openid-client.
func TestInteropDevice(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.ann(t)
	device := func(method string) registered {
		return s.register(t, map[string]any{"client_name": "TV", "token_endpoint_auth_method": method, "grant_types": []string{deviceCode, "refresh_token"}, "scope": "read"})
	}
	t.Run("x/oauth2", func(t *testing.T) {
		t.Parallel()
		c := device("client_secret_basic")
		provider, err := oidc.NewProvider(t.Context(), s.url)
		if err != nil {
			t.Fatal(err)
		}
		config := &oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "read"}}
		asked, err := config.DeviceAuth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ann.visit(asked.VerificationURIComplete, ""); err != nil {
			t.Fatal(err)
		}
		token, err := config.DeviceAccessToken(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := token.Extra("id_token").(string)
		if _, err := provider.Verifier(&oidc.Config{ClientID: c.ID}).Verify(t.Context(), text); err != nil {
			t.Error(err)
		}
		if _, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
			t.Error(err)
		}
		_, err = config.DeviceAccessToken(t.Context(), asked)
		if e, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || e.Response.StatusCode != http.StatusBadRequest {
			t.Errorf("a device code that was used: %v", err)
		}
	})
	t.Run("openid-client", func(t *testing.T) {
		t.Parallel()
		node, room := nodeRoom(t, "clients")
		newPerson(t, ann.name, ann.password).with(room, "", node, "device.mjs", s.url, device("none").ID)
	})
}
