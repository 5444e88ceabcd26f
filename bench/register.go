package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/doorward/doorward/bench/seed"
)

// registered is a client of a site, with the header that proves it.
type registered struct{ id, basic string }

// register makes a client with roles, as an administrator does.
func (s *site) register(ctx context.Context, body map[string]any, roles ...string) (registered, error) {
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := s.manage(ctx, "/clients", body, &made); err != nil {
		return registered{}, err
	}
	for _, role := range roles {
		if err := s.manage(ctx, "/clients/"+made.ID+"/roles", map[string]any{"role": role}, nil); err != nil {
			return registered{}, err
		}
	}
	return registered{made.ID, basic(made.ID, made.Secret)}, nil
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// manage makes something by the management API, as the administrator.
func (s *site) manage(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if s.root == "" {
		var tokens struct {
			Access string `json:"access_token"`
		}
		form := url.Values{"username": {"admin"}, "password": {seed.Password}}.Encode()
		if err := s.post(ctx, "/auth/login", "application/x-www-form-urlencoded", []byte(form), &tokens); err != nil {
			return err
		}
		s.root = tokens.Access
	}
	return s.post(ctx, path, "application/json", text, into)
}

func (s *site) post(ctx context.Context, path, contentType string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", contentType)
	if s.root != "" {
		r.Header.Set("Authorization", "Bearer "+s.root)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("POST %s: %s: %.300s", path, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
