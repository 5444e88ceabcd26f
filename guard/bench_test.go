package guard

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The first-seen token against the signature check that it cannot do without.

func BenchmarkSignatureES256(b *testing.B) {
	check := signatureCheck(b, es().token(nil))
	b.ReportAllocs()
	for b.Loop() {
		check()
	}
}

// signatureCheck returns the least that must be done for a token: one call of
// the standard library with its numbers and its digest ready.
func signatureCheck(b *testing.B, token string) func() {
	dot := strings.LastIndexByte(token, '.')
	digest := sha256.Sum256([]byte(token[:dot]))
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	public := es().private.Public().(*ecdsa.PublicKey)
	return func() {
		if !ecdsa.Verify(public, digest[:], r, s) {
			b.Fatal("wrong")
		}
	}
}

// The two in turns, by their medians, so that whatever else runs on the machine
// counts little: x is how many signature checks a first-seen token costs. The
// target is 1.3.
func BenchmarkFirstSeenPerSignature(b *testing.B) {
	g, token := newGuard(b), es().token(nil)
	check := signatureCheck(b, token)
	set, _ := g.keys.current(context.Background())
	var bare, whole []time.Duration
	for b.Loop() {
		t0 := time.Now()
		check()
		t1 := time.Now()
		if _, err := g.verify(context.Background(), set, token, now); err != nil {
			b.Fatal(err)
		}
		bare, whole = append(bare, t1.Sub(t0)), append(whole, time.Since(t1))
	}
	slices.Sort(bare)
	slices.Sort(whole)
	b.ReportMetric(float64(whole[len(whole)/2])/float64(bare[len(bare)/2]), "x")
	b.ReportMetric(float64(whole[len(whole)/2]), "ns/verify")
}

func BenchmarkVerifyFirstSeen(b *testing.B) {
	for alg, s := range newSigners() {
		b.Run(alg, func(b *testing.B) {
			g, token := newGuard(b), s.token(nil)
			b.ReportAllocs()
			b.SetBytes(int64(len(token)))
			for b.Loop() {
				set, _ := g.keys.current(context.Background())
				if _, err := g.verify(context.Background(), set, token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyRepeated(b *testing.B) {
	g, token := newGuard(b), es().token(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyRepeatedParallel(b *testing.B) {
	g, token := newGuard(b), es().token(nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Verify(context.Background(), token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// constant is the handler that a guarded one is held against.
var constant = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"orders":[]}`)
})

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
func BenchmarkHandlerConstant(b *testing.B)   { benchmarkHandler(b, constant) }
func BenchmarkHandlerGuarded(b *testing.B)    { benchmarkHandler(b, guarded(b)) }
func BenchmarkHandlerNoCredential(b *testing.B) {
	benchmarkHandler(b, newGuard(b).Require()(constant), "Authorization")
}

func guarded(b *testing.B) http.Handler {
	return newGuard(b).Require(Permission("orders:read"))(constant)
}

func benchmarkHandler(b *testing.B, h http.Handler, without ...string) {
	r := httptest.NewRequest("GET", "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+es().token(nil))
	for _, name := range without {
		r.Header.Del(name)
	}
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// Over a real connection, with the client in the same process: its cost is in
// both figures, so the difference counts and the ratio flatters.
func BenchmarkServerConstant(b *testing.B) { benchmarkServer(b, constant, bearer()) }
func BenchmarkServerGuarded(b *testing.B)  { benchmarkServer(b, guarded(b), bearer()) }

func bearer() string { return "Authorization: Bearer " + es().token(nil) }

// BenchmarkAPIKey is a handler that takes API keys, whose issuer is asked over
// loopback once a second or more often, beside the bare handler: the target is 70 % of
// its requests.
func BenchmarkAPIKey(b *testing.B) {
	var asked atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, said(r.PostFormValue("token"), nil))
	}))
	defer issuer.Close()
	g := newGuard(b, Credentials("api", "hush"), IntrospectionURL(issuer.URL), Now(time.Now))
	key := "X-API-Key: " + testKey(1)
	b.Run("bare", func(b *testing.B) { benchmarkServer(b, constant, key) })
	b.Run("guarded", func(b *testing.B) {
		before := asked.Load()
		benchmarkServer(b, g.Require(Permission("orders:read"))(constant), key)
		b.ReportMetric(float64(asked.Load()-before), "asked")
	})
}

func BenchmarkAPIKeyRepeated(b *testing.B) {
	g := newDesk().guard(b, KeyCache(maxKeyTTL, 100))
	r := keyRequest(testKey(1), "192.0.2.1:80")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.authenticate(r, false); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkServer writes requests to raw connections, so that the client costs
// next to nothing.
func benchmarkServer(b *testing.B, h http.Handler, header string) {
	s := httptest.NewServer(h)
	defer s.Close()
	request := []byte("GET /orders HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n")
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		answer := make([]byte, 4096)
		for pb.Next() {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
			n, err := c.Read(answer) // a small answer comes in one piece
			if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200") {
				b.Errorf("%q, %v", answer[:n], err)
				return
			}
		}
	})
}
