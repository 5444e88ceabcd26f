package issue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/fetch"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/outbox"
)

// LogoutStore is what is kept of where people are signed in to.
type LogoutStore interface {
	// SessionClients returns the ids of the clients that were signed in to under a session
	// that lives.
	SessionClients(ctx context.Context, session string) ([]string, error)
}

// Poster hands things to clients.
type Poster interface {
	// Post hands something to a URL. Its error wraps fetch.ErrRefused if who was asked
	// will not take it.
	Post(ctx context.Context, place, mediaType string, body []byte) error
}

// logoutLasts is how long a logout token is good for: "preferably at most two minutes in
// the future" (OpenID Connect Back-Channel Logout 1.0, Section 2.4).
const logoutLasts = 2 * time.Minute

// logoutEvent says that a token is one of logout.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// TellSignedOut tells a client that somebody is signed out (OpenID Connect Back-Channel
// Logout 1.0, Section 2.5). It is done, too, where there is nobody to tell: the client is
// gone or disabled, or wants to know no more.
func (s *Service) TellSignedOut(ctx context.Context, l outbox.Logout) error {
	c, err := s.clients.Known(ctx, l.Client)
	if fault.KindOf(err) == fault.NotFound || err == nil && (c.Status != client.Active || c.BackchannelLogoutURI == "") {
		return nil
	} else if err != nil {
		return err
	}
	token, err := s.logoutToken(ctx, c, l)
	if err != nil {
		return err
	}
	err = s.poster.Post(ctx, c.BackchannelLogoutURI, "application/x-www-form-urlencoded", []byte(url.Values{"logout_token": {token}}.Encode()))
	if errors.Is(err, fetch.ErrRefused) {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, err)
	}
	return err
}

// logoutToken is signed as the client's ID tokens are. Its type and its event keep it from
// being taken for one, and that it has no nonce (Section 2.4).
func (s *Service) logoutToken(ctx context.Context, c client.Client, l outbox.Logout) (string, error) {
	signer, err := s.keys.IDSigner(ctx, c.SignsIDTokensWith())
	if err != nil {
		return "", err
	}
	if signer, err = signer.As("logout+jwt"); err != nil {
		return "", err
	}
	subject, err := s.Subject(c, l.User)
	if err != nil {
		return "", err
	}
	now := s.clock.Now()
	payload, err := json.Marshal(map[string]any{
		"iss": s.options.Issuer, "aud": c.ID, "iat": now.Unix(), "exp": now.Add(logoutLasts).Unix(), "jti": rand.Text(),
		"sub": subject, "sid": l.Session, "events": map[string]any{logoutEvent: struct{}{}},
	})
	if err != nil {
		return "", err
	}
	return signer.Sign(payload)
}

// Frames returns what a browser loads to be signed out of the clients that were signed in to
// under a session that lives (OpenID Connect Front-Channel Logout 1.0, Section 3).
func (s *Service) Frames(ctx context.Context, session string) ([]oauth.Frame, error) {
	ids, err := s.store.SessionClients(ctx, session)
	if err != nil {
		return nil, err
	}
	var list []oauth.Frame
	for _, id := range ids {
		c, err := s.clients.Known(ctx, id)
		if fault.KindOf(err) == fault.NotFound || err == nil && (c.Status != client.Active || c.FrontchannelLogoutURI == "") {
			continue
		} else if err != nil {
			return nil, err
		}
		named := ""
		if c.FrontchannelLogoutSessionRequired {
			named = session
		}
		f, err := oauth.NewFrame(c.FrontchannelLogoutURI, s.options.Issuer, named)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}
