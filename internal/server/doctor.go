package server

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// DoctorHeader is the header in which the doctor proves to the server that he reads
// the same keys. He is then told, with the answer of /readyz, where his request
// seems to come from: nobody else learns what addresses the server sees.
const DoctorHeader = "Doorward-Doctor"

// SeenAddress is the member of that answer.
const SeenAddress = "seen_address"

// proofLasts is for how long a proof is good: it is of use to nobody else, but what
// is not needed for long does not live long.
const proofLasts = time.Minute

// DoctorProof returns what stands in DoctorHeader, or nothing if the keys are not
// loaded.
func (k *Core) DoctorProof() string {
	p, err := k.Keys.Peppers(keyring.Once).Newest()
	if err != nil {
		return ""
	}
	at := strconv.FormatInt(k.Clock.Now().Unix(), 10)
	return at + "." + proof(p, at)
}

func proof(p secret.Pepper, at string) string {
	mac := secret.MAC(p.Key, "doctor", []byte(at))
	return base64.RawURLEncoding.EncodeToString(mac[:])
}

// isDoctor reports whether a request proves to be the doctor's.
func (k *Core) isDoctor(r *http.Request) bool {
	at, mac, ok := strings.Cut(r.Header.Get(DoctorHeader), ".")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || k.Clock.Now().Sub(time.Unix(seconds, 0)).Abs() > proofLasts {
		return false
	}
	p, err := k.Keys.Peppers(keyring.Once).Newest()
	return err == nil && secret.From(mac).Equal(secret.From(proof(p, at)))
}

// seen returns where a request seems to come from.
func (s *Server) seen(r *http.Request) string { return web.By(r.Context()).Origin.Address }

// Certificate returns the certificate that an ACME authority gave for a host; none
// if there is none yet.
func (k *Core) Certificate(ctx context.Context, host string) (*x509.Certificate, error) {
	text, err := k.certificates().Get(ctx, host)
	if errors.Is(err, autocert.ErrCacheMiss) {
		return nil, nil //nolint:nilnil // as the comment says
	} else if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" { // the first is the host's; its key stands before it
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("what is kept as a certificate holds none")
}
