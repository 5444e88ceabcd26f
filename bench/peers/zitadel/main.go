// Command zitadel is a peer of Doorward's in go run ./bench -peers: the OpenID
// provider of github.com/zitadel/oidc with the storage of its example server, which
// keeps everything in memory.
//
// What differs from the example makes it comparable, and cheaper: it signs with ES256
// instead of RS256, its access tokens are JWTs, whoever comes is signed in already,
// and no request is logged. It listens on PEER_LISTEN and calls itself PEER_ISSUER.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "zitadel:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	issuer := os.Getenv("PEER_ISSUER")
	storage.RegisterClients(storage.WebClient("app", "secret-of-the-app", "https://app.example.com/callback"))
	people := storage.NewUserStore(issuer)
	s := &signedIn{Storage: storage.NewStorage(people), private: private, username: people.GetUserByID("id1").Username}
	provider, err := op.NewProvider(&op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true}, s, op.StaticIssuer(issuer),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		return err
	}
	server := &http.Server{Addr: os.Getenv("PEER_LISTEN"), Handler: provider, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// signedIn is the example's storage, in which somebody is signed in to whatever asks.
type signedIn struct {
	*storage.Storage
	private  *ecdsa.PrivateKey
	username string
}

func (s *signedIn) CreateAuthRequest(ctx context.Context, r *oidc.AuthRequest, user string) (op.AuthRequest, error) {
	made, err := s.Storage.CreateAuthRequest(ctx, r, user)
	if err != nil {
		return nil, err
	}
	return made, s.CheckUsernamePassword(s.username, "verysecure", made.GetID())
}

func (s *signedIn) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return application{c}, err
}

func (s *signedIn) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, secret)
	return application{c}, err
}

// application is a client that gets JWTs, and whose people need no page to sign in.
type application struct{ op.Client }

func (application) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (application) LoginURL(id string) string           { return "/authorize/callback?id=" + id }

const keyID = "bench"

func (s *signedIn) SigningKey(context.Context) (op.SigningKey, error) { return signing{s.private}, nil }
func (s *signedIn) KeySet(context.Context) ([]op.Key, error)          { return []op.Key{public{s.private}}, nil }
func (s *signedIn) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

type signing struct{ private *ecdsa.PrivateKey }

func (signing) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (signing) ID() string                                  { return keyID }
func (k signing) Key() any                                  { return k.private }

type public struct{ private *ecdsa.PrivateKey }

func (public) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (public) ID() string                         { return keyID }
func (public) Use() string                        { return "sig" }
func (k public) Key() any                         { return &k.private.PublicKey }
