package issue

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/factor"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

// guess is one attempt at an account: it was reserved before anything is judged,
// and is settled once it was.
type guess struct {
	*limit.Try
	user   string // the account's id; empty where the name is nobody's
	place  string // where it comes from, as arrivals are remembered; empty until it was right
	known  bool   // the browser has signed in to the account before, and is not taken for a stranger's since
	device session.Device
	pepper secret.Pepper
}

// begin reserves an attempt at an account. Every door for guesses at what a
// person knows begins here. user has no id for a name that is nobody's, which is
// then counted like an account.
func (s *Service) begin(ctx context.Context, by principal.Principal, user account.User, name string) (*guess, error) {
	g := &guess{user: user.ID}
	peppers := s.keys.Peppers(keyring.Device)
	newest, err := peppers.Newest()
	if err != nil {
		return nil, err
	}
	g.pepper = newest
	device, made, ok := session.ParseDevice(by.Origin.Device, peppers)
	attempt := limit.Attempt{Subject: "user:" + user.ID, Network: by.Origin.Network}
	if ok && made.Version == newest.Version {
		g.device = device
	} else {
		g.device = session.NewDevice()
	}
	if ok && user.ID != "" && device.Knows(owner(user), made) {
		attempt.Device = device.ID
	}
	if user.ID == "" {
		if attempt.Subject, err = s.nobody(name); err != nil {
			return nil, err
		}
	}
	if g.Try, err = s.limits.Begin(ctx, attempt); err != nil {
		return nil, err
	}
	g.known = g.Known()
	return g, nil
}

// owner is whom a device knows: a person with this password. Once it is changed,
// nobody keeps what he may have got with the one before.
func owner(u account.User) string {
	return u.ID + " " + strconv.FormatInt(clock.Micro(u.PasswordAt), 10)
}

// verify has a guess hashed. Who leaves meanwhile has made one.
func (s *Service) verify(ctx context.Context, by principal.Principal, g *guess, p secret.Text, stored string, e audit.Event) (factor.Result, error) {
	result, err := s.hasher.Verify(ctx, by.Origin.Network, p, stored)
	if errors.Is(err, factor.ErrLeft) {
		if err := s.failed(ctx, by, g, e.Because(audit.Failure, "left")); err != nil {
			return result, err
		}
	}
	return result, err
}

// nobody returns how attempts at a name are counted that no account has. What was
// typed may be a password in the wrong field: it is kept as a MAC.
func (s *Service) nobody(name string) (string, error) {
	p, err := s.keys.Peppers(keyring.Attempt).Newest()
	if err != nil {
		return "", err
	}
	if login, ok := account.ParseLogin(name); ok {
		name = login.Username + "\x00" + login.EmailKey
	}
	h := secret.MAC(p.Key, "doorward attempt", []byte(name))
	return "name:" + hex.EncodeToString(h[:16]), nil
}

// floods is the event of the alarm over all failures.
func floods(at time.Time) audit.Event {
	return audit.Now(principal.Principal{Kind: principal.System, ID: "limits"}, at, audit.LoginFlood, "server")
}

// lockNotice is for how long it is kept that the owner of an account was told,
// on that day, that it was locked.
const lockNotice = 24 * time.Hour

// failed settles a guess that was wrong, and records it with what follows: that
// the account is locked, of which its owner is told.
func (s *Service) failed(ctx context.Context, by principal.Principal, g *guess, e audit.Event) error {
	ctx = context.WithoutCancel(ctx) // who hangs up does not get his guess back
	v, lost := g.Failed(ctx)         // the guess was judged, so it is recorded even where it could not be counted
	events := []audit.Event{e}
	var letters []outbox.Letter
	notice := "lock-notice:" + g.user + " " + deviceWord(g.known) + e.At.UTC().Format(" 2006-01-02")
	if v.Locked && g.user != "" {
		locked := audit.Now(by, e.At, audit.LoginLocked, "user:"+g.user).
			With("until", v.Until.UTC().Format(audit.TimeFormat)).With("device", deviceWord(g.known))
		locked.Actor = e.Actor // of whom the account may be, or not
		events = append(events, locked)
		told, err := s.limits.Seen(ctx, notice, lockNotice)
		if err == nil && !told {
			data := place(by)
			data["until"] = v.Until.UTC().Format(time.RFC3339)
			kind := outbox.AccountLocked
			if g.known {
				kind = outbox.DeviceLocked
			}
			letters = append(letters, outbox.New(g.user, kind, e.At, data))
		}
		lost = errors.Join(lost, err)
	}
	if v.Flood {
		events = append(events, floods(e.At))
	}
	if err := s.store.Tell(ctx, events, letters...); err != nil {
		return err
	}
	if letters != nil { // remembered once it is posted, so that none is lost; one may come twice
		_, err := s.limits.First(ctx, notice, lockNotice)
		lost = errors.Join(lost, err)
	}
	return lost
}

func deviceWord(known bool) string {
	if known {
		return "known"
	}
	return "unknown"
}

// place is what a letter says of where something was done.
func place(by principal.Principal) map[string]string {
	return map[string]string{"address": by.Origin.Address, "user_agent": by.Origin.UserAgent}
}

// placeNotice is how long a place counts as known where a client keeps no cookie.
const placeNotice = 30 * 24 * time.Hour

// arrival returns the letter about a right password from a device that is new to
// its account. A client that keeps no cookies is known by its network and its
// name; arrived remembers them once the letter is posted.
func (s *Service) arrival(ctx context.Context, by principal.Principal, g *guess, user account.User, now time.Time) ([]outbox.Letter, error) {
	p, err := s.keys.Peppers(keyring.Attempt).Newest()
	if err != nil {
		return nil, err
	}
	where := secret.MAC(p.Key, "doorward place", []byte(user.ID), []byte(by.Origin.Network), []byte(by.Origin.UserAgent))
	g.place = "place:" + hex.EncodeToString(where[:16])
	seen, err := s.limits.Seen(ctx, g.place, placeNotice)
	if err != nil || seen || g.known || user.SignedInAt.IsZero() {
		return nil, err
	}
	return []outbox.Letter{outbox.New(user.ID, outbox.DeviceNew, now, place(by))}, nil
}

func (s *Service) arrived(ctx context.Context, g *guess) error {
	_, err := s.limits.First(ctx, g.place, placeNotice)
	return err
}
