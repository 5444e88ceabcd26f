package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/doorward/doorward/internal/secret"
)

// authority is a small ACME authority (RFC 8555) that knows tls-alpn-01 (RFC 8737)
// and is as strict as a real one about nonces, signatures and who ordered what.
type authority struct {
	url   string // of its directory
	roots string // the file of whom to believe, for its own HTTPS and what it issues
	pool  *x509.CertPool

	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu       sync.Mutex
	base     string
	nonces   map[string]bool
	accounts []acmeAccount
	orders   []*acmeOrder
	where    map[string]string // where each host is found, for its challenge
	wrong    []string          // what it refused
}

type acmeAccount struct {
	key        *ecdsa.PublicKey
	thumbprint string
	contact    []string
}

type acmeOrder struct {
	account int
	host    string
	token   string
	status  string // of the order
	proved  string // the authorization's status
	chain   []byte
}

// newAuthority starts an authority.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{nonces: map[string]bool{}, where: map[string]string{}, pool: x509.NewCertPool()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.roots = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(a.roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.issue(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, own.Public())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: own}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	a.base, a.url = srv.URL, srv.URL+"/directory"
	return a
}

func (a *authority) issue(template *x509.Certificate, key any) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Minute), time.Now().Add(24*time.Hour)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
}

// reached says where a host is.
func (a *authority) reached(host, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.where[host] = address
}

// issued returns how many accounts there are, and how many certificates were
// issued for a host.
func (a *authority) issued(host string) (accounts, certificates int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.orders {
		if o.host == host && o.chain != nil {
			certificates++
		}
	}
	return len(a.accounts), certificates
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	nonce := base64.RawURLEncoding.EncodeToString(secret.Random(16))
	a.nonces[nonce] = true
	a.mu.Unlock()
	w.Header().Set("Replay-Nonce", nonce)
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/directory":
		_ = json.NewEncoder(w).Encode(map[string]any{"newNonce": a.base + "/nonce", "newAccount": a.base + "/account", "newOrder": a.base + "/order", "revokeCert": a.base + "/revoke", "keyChange": a.base + "/change"})
		return
	case "/nonce":
		return
	}
	if err := a.answer(w, r); err != nil {
		a.mu.Lock()
		a.wrong = append(a.wrong, r.URL.Path+": "+err.Error())
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:unauthorized", "detail": err.Error(), "status": 403})
	}
}

// answer answers a signed request (RFC 8555, Section 7).
func (a *authority) answer(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	by, payload, err := a.verify(r, body)
	if err != nil {
		return err
	}
	if r.URL.Path == "/account" {
		w.Header().Set("Location", fmt.Sprintf("%s/account/%d", a.base, by))
		w.WriteHeader(http.StatusCreated)
		var said struct {
			Contact []string
			Agreed  bool `json:"termsOfServiceAgreed"`
		}
		if err := json.Unmarshal(payload, &said); err != nil {
			return err
		}
		a.accounts[by].contact = said.Contact
		return json.NewEncoder(w).Encode(map[string]any{"status": "valid"})
	}
	if r.URL.Path == "/order" {
		var asked struct {
			Identifiers []struct{ Type, Value string }
		}
		if err := json.Unmarshal(payload, &asked); err != nil || len(asked.Identifiers) != 1 || asked.Identifiers[0].Type != "dns" {
			return fmt.Errorf("an order of %s, %w", payload, err)
		}
		a.orders = append(a.orders, &acmeOrder{account: by, host: asked.Identifiers[0].Value, token: base64.RawURLEncoding.EncodeToString(secret.Random(32)), status: "pending", proved: "pending"})
		w.Header().Set("Location", fmt.Sprintf("%s/order/%d", a.base, len(a.orders)-1))
		w.WriteHeader(http.StatusCreated)
		return a.tellOrder(w, len(a.orders)-1)
	}
	var what string
	var n int
	if _, err := fmt.Sscanf(strings.Replace(r.URL.Path[1:], "/", " ", 1), "%s %d", &what, &n); err != nil || n >= len(a.orders) || a.orders[n].account != by {
		return errors.New("that is not yours")
	}
	return a.onOrder(w, what, n, payload)
}

func (a *authority) onOrder(w http.ResponseWriter, what string, n int, payload []byte) error {
	o := a.orders[n]
	switch what {
	case "order":
		w.Header().Set("Location", fmt.Sprintf("%s/order/%d", a.base, n))
		return a.tellOrder(w, n)
	case "authorization":
		return json.NewEncoder(w).Encode(map[string]any{
			"status": o.proved, "identifier": map[string]string{"type": "dns", "value": o.host},
			"challenges": []any{a.challenge(n), map[string]string{"type": "http-01", "url": a.base + "/no", "token": "x", "status": "pending"}},
		})
	case "challenge":
		if err := a.prove(o); err != nil {
			a.wrong = append(a.wrong, err.Error())
			o.proved, o.status = "invalid", "invalid"
		} else {
			o.proved, o.status = "valid", "ready"
		}
		return json.NewEncoder(w).Encode(a.challenge(n))
	case "finalize":
		var asked struct{ CSR string }
		if err := json.Unmarshal(payload, &asked); err != nil {
			return err
		}
		if err := a.finalize(o, asked.CSR); err != nil {
			return err
		}
		w.Header().Set("Location", fmt.Sprintf("%s/order/%d", a.base, n))
		return a.tellOrder(w, n)
	case "certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, err := w.Write(o.chain)
		return err
	}
	return errors.New("there is no such thing")
}

func (a *authority) challenge(n int) map[string]string {
	o := a.orders[n]
	return map[string]string{"type": "tls-alpn-01", "url": fmt.Sprintf("%s/challenge/%d", a.base, n), "token": o.token, "status": o.proved}
}

func (a *authority) tellOrder(w http.ResponseWriter, n int) error {
	o := a.orders[n]
	told := map[string]any{
		"status": o.status, "identifiers": []any{map[string]string{"type": "dns", "value": o.host}},
		"authorizations": []string{fmt.Sprintf("%s/authorization/%d", a.base, n)}, "finalize": fmt.Sprintf("%s/finalize/%d", a.base, n),
	}
	if o.chain != nil {
		told["certificate"] = fmt.Sprintf("%s/certificate/%d", a.base, n)
	}
	return json.NewEncoder(w).Encode(told)
}

// prove looks for the answer to the challenge where the host is (RFC 8737, Section
// 3).
func (a *authority) prove(o *acmeOrder) error {
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: o.host, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", a.where[o.host])
	if err != nil {
		return fmt.Errorf("the challenge of %s: %w", o.host, err)
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	leaf := state.PeerCertificates[0]
	digest := sha256.Sum256([]byte(o.token + "." + a.accounts[o.account].thumbprint))
	want, err := asn1.Marshal(digest[:])
	if err != nil {
		return err
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) && e.Critical && slices.Equal(e.Value, want) &&
			slices.Equal(leaf.DNSNames, []string{o.host}) && state.NegotiatedProtocol == acme.ALPNProto {
			return nil
		}
	}
	return fmt.Errorf("the challenge of %s: what is shown does not prove it", o.host)
}

func (a *authority) finalize(o *acmeOrder, text string) error {
	der, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil || o.status != "ready" || !slices.Equal(csr.DNSNames, []string{o.host}) {
		return fmt.Errorf("that request is not for the order, which is %s: %w", o.status, err)
	}
	leaf, err := a.issue(&x509.Certificate{DNSNames: csr.DNSNames}, csr.PublicKey)
	if err != nil {
		return err
	}
	o.chain = slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	o.status = "valid"
	return nil
}

// verify returns whose a request is, and what it says. An account is made for a
// new key that asks for one.
func (a *authority) verify(r *http.Request, body []byte) (by int, payload []byte, err error) {
	var jws struct{ Protected, Payload, Signature string }
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  *struct{ Crv, X, Y string }
	}
	if err := json.Unmarshal(body, &jws); err != nil {
		return 0, nil, err
	}
	protected, err := base64.RawURLEncoding.DecodeString(jws.Protected)
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(protected, &head); err != nil || head.Alg != "ES256" || head.URL != a.base+r.URL.Path {
		return 0, nil, fmt.Errorf("the head %s, %w", protected, err)
	}
	if !a.nonces[head.Nonce] {
		return 0, nil, errors.New("the nonce is not fresh")
	}
	delete(a.nonces, head.Nonce)
	var key *ecdsa.PublicKey
	switch {
	case head.JWK != nil && r.URL.Path == "/account":
		x, _ := base64.RawURLEncoding.DecodeString(head.JWK.X)
		y, _ := base64.RawURLEncoding.DecodeString(head.JWK.Y)
		if key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
			return 0, nil, err
		}
		if by = slices.IndexFunc(a.accounts, func(k acmeAccount) bool { return k.key.Equal(key) }); by < 0 {
			thumbprint, err := acme.JWKThumbprint(key)
			if err != nil {
				return 0, nil, err
			}
			a.accounts = append(a.accounts, acmeAccount{key: key, thumbprint: thumbprint})
			by = len(a.accounts) - 1
		}
	default:
		if _, err := fmt.Sscanf(head.Kid, a.base+"/account/%d", &by); err != nil || by >= len(a.accounts) {
			return 0, nil, errors.New("there is no such account")
		}
		key = a.accounts[by].key
	}
	signature, err := base64.RawURLEncoding.DecodeString(jws.Signature)
	digest := sha256.Sum256([]byte(jws.Protected + "." + jws.Payload))
	if err != nil || len(signature) != 64 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return 0, nil, errors.New("the signature is wrong")
	}
	payload, err = base64.RawURLEncoding.DecodeString(jws.Payload)
	return by, payload, err
}
