package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a proxy does wrong is found from outside, and said.
func TestDoctorThroughProxies(t *testing.T) {
	var forward func(*httputil.ProxyRequest)
	var target *url.URL
	answers := func(*http.Response) error { return nil }
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host; forward(r) },
		// Its own address is another than the doctor's.
		Transport:      &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext, DisableKeepAlives: true},
		ModifyResponse: func(a *http.Response) error { return answers(a) },
	})
	defer proxy.Close()
	roots := x509.NewCertPool()
	roots.AddCert(proxy.Certificate())
	usual := http.DefaultTransport
	http.DefaultTransport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	defer func() { http.DefaultTransport = usual }()

	folder := filepath.Join(t.TempDir(), "data")
	settings := []string{"--set", "trusted_proxies=127.0.0.2", "--set", "issuer=" + proxy.URL}
	startDev(t, append([]string{"--data", folder}, settings...)...)
	target = &url.URL{Scheme: "http", Host: listening(t, folder)}

	good := func(r *httputil.ProxyRequest) {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}
	for name, tt := range map[string]struct {
		forward func(*httputil.ProxyRequest)
		answers func(*http.Response) error
		about   string
		status  string
		says    string
	}{
		"a good one": {forward: good, about: "proxy", status: well, says: "clients come by https from their own addresses; this one from 127.0.0.1"},
		"one that forgets the scheme": {
			forward: func(r *httputil.ProxyRequest) { good(r); r.Out.Header.Del("X-Forwarded-Proto") },
			about:   "proxy", status: grave, says: "does not know that clients come by https",
		},
		"one that asks for itself": {
			forward: func(r *httputil.ProxyRequest) { good(r); r.Out.Host = "backend.internal" },
			about:   "proxy", status: grave, says: "asked for another host",
		},
		"one that forgets the client": {
			forward: func(r *httputil.ProxyRequest) { good(r); r.Out.Header.Del("X-Forwarded-For") },
			about:   "proxy", status: minor, says: "seems to come from 127.0.0.2",
		},
		"one that believes the client": {
			forward: func(r *httputil.ProxyRequest) {
				good(r)
				if said := r.In.Header.Get("X-Forwarded-For"); said != "" {
					r.Out.Header.Set("X-Forwarded-For", said)
				}
			},
			about: "proxy", status: grave, says: "whoever claims an address",
		},
		"one that believes the client about the scheme": {
			forward: func(r *httputil.ProxyRequest) {
				good(r)
				if said := r.In.Header.Get("X-Forwarded-Proto"); said != "" {
					r.Out.Header.Set("X-Forwarded-Proto", said)
				}
			},
			about: "proxy", status: grave, says: "claims in X-Forwarded-Proto reaches",
		},
		"one that strips cookies": {
			forward: good, answers: func(a *http.Response) error { a.Header.Del("Set-Cookie"); return nil },
			about: "cookies", status: minor, says: "set no cookie",
		},
		"one that loosens cookies": {
			forward: good, answers: func(a *http.Response) error {
				for i, c := range a.Header["Set-Cookie"] {
					a.Header["Set-Cookie"][i] = strings.ReplaceAll(c, "; HttpOnly", "")
				}
				return nil
			},
			about: "cookies", status: grave, says: "without HttpOnly",
		},
		"one that takes headers away": {
			forward: good, answers: func(a *http.Response) error { a.Header.Del("Content-Security-Policy"); return nil },
			about: "proxy", status: minor, says: "headers that protect browsers",
		},
		"one with another clock": {
			forward: good, answers: func(a *http.Response) error {
				a.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
				return nil
			},
			about: "clock", status: grave, says: "apart",
		},
	} {
		forward, answers = tt.forward, tt.answers
		if answers == nil {
			answers = func(*http.Response) error { return nil }
		}
		var stdout, stderr bytes.Buffer
		p := &program{env: cleanEnv(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, began: time.Now(), tweaks: cheap}
		code := p.run(t.Context(), append([]string{"doctor", "--online", "-o", "json", "--config", filepath.Join(folder, usualConfig)}, settings...))
		var report struct{ Findings []finding }
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", name, err, stdout.Bytes(), stderr.Bytes())
		}
		if !strings.Contains(stdout.String(), `"about": "proxy",
      "status": "ok",
      "says": "the certificate for `) {
			t.Errorf("%s: nothing is said of the proxy's certificate: %s", name, stdout.Bytes())
		}
		found, graves := false, 0
		for _, f := range report.Findings {
			if f.Status == grave {
				graves++
			}
			found = found || f.About == tt.about && f.Status == tt.status && strings.Contains(f.Says, tt.says)
			if name == "a good one" && f.Status == grave || f.Status == grave && f.Do == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !found || (code == 1) != (tt.status == grave) || graves > 1 { // one fault is one finding
			t.Errorf("%s: exit code %d, %s", name, code, stdout.Bytes())
		}
	}
}

// listening returns where the dev of a folder listens.
func listening(t *testing.T, folder string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := &program{env: cleanEnv(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, began: time.Now(), tweaks: cheap}
	p.run(t.Context(), []string{"doctor", "-o", "json", "--config", filepath.Join(folder, usualConfig)})
	var report struct {
		Settings []struct{ Name, Value string }
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Settings {
		if s.Name == "listen" {
			return s.Value
		}
	}
	t.Fatal("it listens nowhere")
	return ""
}

// A sink that got nothing for hours is told of, though it once got something.
func TestDoctorSilentSink(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	startDev(t, "--data", folder, "--set", "audit.sinks=file:"+path)
	deadline := time.Now().Add(10 * time.Second)
	for {
		var stdout, stderr bytes.Buffer
		p := &program{env: cleanEnv(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, began: time.Now().Add(3 * time.Hour), tweaks: cheap}
		p.run(t.Context(), []string{"doctor", "--config", filepath.Join(folder, usualConfig), "--set", "audit.sinks=file:" + path})
		if strings.Contains(stdout.String(), "audit.jsonl got nothing since ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(stdout.String())
		}
		time.Sleep(100 * time.Millisecond) // the first checkpoint comes within a second or two
	}
}
