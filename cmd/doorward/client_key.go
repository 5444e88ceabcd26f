package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/strictjson"
)

// readKeys reads the public keys of a client: a JWK Set, or keys in PEM, which then go by
// their thumbprints.
func readKeys(text []byte) (*client.KeySet, error) {
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		set := &client.KeySet{}
		if err := strictjson.Check(text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, set); err != nil || set.Members == nil {
			return nil, errors.New("it is neither a JWK Set nor PEM")
		}
		return set, nil
	}
	set := &client.KeySet{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.Contains(block.Type, "PRIVATE") {
			return nil, errors.New("it holds a private key, which stays with the client; give the public one: openssl pkey -in FILE -pubout")
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s is not a public key in PEM", block.Type)
		}
		member, err := memberOf(key)
		if err != nil {
			return nil, err
		}
		set.Members = append(set.Members, member)
	}
	if set.Members == nil {
		return nil, errors.New("it is neither a JWK Set nor PEM")
	}
	return set, nil
}

// memberOf returns a public key as a member of a JWK Set. An RSA key is for RS256 and PS256
// alike.
func memberOf(key any) (map[string]any, error) {
	alg := jose.Algorithm("")
	switch key.(type) {
	case *ecdsa.PublicKey:
		alg = jose.ES256
	case ed25519.PublicKey:
		alg = jose.EdDSA
	}
	j, err := jose.PublicJWK("", alg, key)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	var member map[string]any
	if err := json.Unmarshal(text, &member); err != nil {
		return nil, err
	}
	if alg == "" {
		delete(member, "alg")
	}
	return member, nil
}

// readWorkloads reads the fields of workloads, each with its name.
func readWorkloads(list []string) (workloads []client.Workload, err error) {
	for _, text := range list {
		var w client.Workload
		fields := map[string]*string{"issuer": &w.Issuer, "subject": &w.Subject, "audience": &w.Audience, "jwks_uri": &w.JWKSURI}
		for _, part := range strings.Fields(text) {
			name, value, _ := strings.Cut(part, "=")
			if fields[name] == nil {
				return nil, fmt.Errorf("--workload: it has issuer=, subject=, jwks_uri= and audience=, each once, and not %q", name)
			}
			*fields[name] = value
			delete(fields, name)
		}
		workloads = append(workloads, w)
	}
	return workloads, nil
}
