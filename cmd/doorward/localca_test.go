package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The authority of dev --tls is kept, is for its owner's eyes alone, and speaks for
// loopback names and nothing else.
func TestLocalAuthority(t *testing.T) {
	d := data(t.TempDir())
	now := time.Now()
	contents := func() (all [4]string) {
		t.Helper()
		for i, name := range []string{dataCA, dataCAKey, dataCert, dataCertKey} {
			text, err := os.ReadFile(d.path(name))
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(d.path(name))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has the mode %v, %v", name, info.Mode(), err)
			}
			all[i] = string(text)
		}
		return all
	}
	make := func(at time.Time) [4]string {
		t.Helper()
		if err := d.ensureCertificate(at); err != nil {
			t.Fatal(err)
		}
		return contents()
	}
	first := make(now)
	if make(now.Add(366*24*time.Hour)) != first {
		t.Error("what is good for another month was made anew")
	}
	later := make(now.Add(368 * 24 * time.Hour))
	if later[0] != first[0] || later[1] != first[1] || later[2] == first[2] || later[3] == first[3] {
		t.Error("a certificate that ends within a month was not made anew by the same authority")
	}
	if err := os.WriteFile(d.path(dataCertKey), []byte(first[3]), 0o600); err != nil { // as if interrupted between the two files
		t.Fatal(err)
	}
	if mended := make(now); mended[0] != first[0] || mended[3] == first[3] {
		t.Error("a pair that does not fit was not mended")
	}
	if last := make(now.Add(9*365*24*time.Hour + 24*time.Hour)); last[0] == first[0] {
		t.Error("an authority that would end before its certificate was kept")
	}

	d = data(t.TempDir())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(make(now)[0]))
	ca, err := loadPair(d.path(dataCA), d.path(dataCAKey))
	if err != nil || ca == nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"localhost": true, "sub.localhost": true, "example.com": false, "localhost.example.com": false} {
		leaf, err := newPair(&x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour), DNSNames: []string{name}}, ca)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now.Add(time.Minute)}); (err == nil) != want {
			t.Errorf("a certificate of it for %s: %v", name, err)
		}
	}
}

func TestDevTLS(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	r := startDev(t, "--data", folder, "--tls")
	url := r.said(t, "URL")
	if !strings.HasPrefix(url, "https://localhost:") || !strings.HasPrefix(r.said(t, "Authority"), filepath.Join(folder, dataCA)) {
		t.Fatalf("dev said:\n%s", r.stdout.String())
	}
	text, err := os.ReadFile(filepath.Join(folder, dataCA))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}}
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
		at := strings.Replace(url, "localhost", host, 1)
		answer, err := client.Get(at + "/.well-known/oauth-authorization-server")
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %s %v", at, answer.Status, answer.Header)
		}
	}
	if code := r.stop(); code != 0 {
		t.Errorf("dev ended with %d:\n%s", code, r.stderr.String())
	}
	again := startDev(t, "--data", folder) // and back to http
	if url := again.said(t, "URL"); !strings.HasPrefix(url, "http://localhost:") || strings.Contains(again.stdout.String(), "cacert") {
		t.Errorf("without --tls:\n%s", again.stdout.String())
	}
}
