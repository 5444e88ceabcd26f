package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/ssf"
)

const signalColumns = `id, stream, user_id, kind, facts, cause, subject, at`

func (t *tx) insertSignal(e ssf.Event) error {
	facts, err := json.Marshal(e.Facts)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO ssf_events (`+signalColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.Stream, e.User, string(e.Kind), string(facts), e.Cause, e.Subject, clock.Micro(e.At))
	return err
}

// signal queues what happened to a person for streams that a condition chooses, within the
// transaction that makes it so. Whether their receivers are to hear of him is looked at
// after.
func (t *tx) signal(user string, kind ssf.Kind, facts ssf.Facts, condition string, args ...any) error {
	if there, err := t.streaming(); err != nil || !there {
		return err
	}
	var streams []ssf.Stream
	err := t.all(func(r scanner) error {
		st, err := readStream(r)
		if st.Tells(kind) {
			streams = append(streams, st)
		}
		return err
	}, `SELECT `+streamColumns+` FROM ssf_streams WHERE status <> ? AND EXISTS (SELECT 1 FROM clients WHERE clients.id = ssf_streams.client_id AND clients.status = ?) AND `+condition,
		append([]any{string(ssf.Disabled), string(client.Active)}, args...)...)
	if err != nil {
		return err
	}
	for _, st := range streams {
		if err := t.queue(st, ssf.Event{ID: id.New(t.now), Stream: st.ID, User: user, Kind: kind, Facts: facts, At: t.now, Cause: t.causeFor(st.ID)}); err != nil {
			return err
		}
	}
	return nil
}

// streaming reports whether there is any stream, which most sites have none of. It asks
// once, however many sessions the transaction ends.
func (t *tx) streaming() (bool, error) {
	if t.streams == nil {
		var n int64
		if err := t.one(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM ssf_streams LIMIT 1) AS streams`).scan(&n); err != nil {
			return false, err
		}
		found := n > 0
		t.streams = &found
	}
	return *t.streams, nil
}

// queue queues an event, if there is room. Whoever lets a stream run full is away: it is
// paused, and hears no more until it goes on.
func (t *tx) queue(st ssf.Stream, e ssf.Event) error {
	var waiting int64
	if err := t.one(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM ssf_events WHERE stream = ? LIMIT ?) AS waiting`, st.ID, ssf.MostWaiting).scan(&waiting); err != nil {
		return err
	}
	if waiting < ssf.MostWaiting {
		return t.insertSignal(e)
	}
	by := principal.Principal{Kind: principal.System, ID: "server"}
	return t.pause(st.ID, ssf.Full, audit.Now(by, t.now, audit.StreamUpdated, st.Target()).With("status", string(ssf.Paused)).With("client", st.Client).With("why", "full"))
}

// causeFor names what a transaction does to a stream. To no two streams it is the same: two
// receivers that call a person by different names are not to find out that they mean one.
func (t *tx) causeFor(stream string) string {
	if t.cause == "" {
		t.cause = rand.Text()
	}
	digest := secret.HashOf([]byte(t.cause + stream))
	return secret.Base62(digest[:16])
}

// initiator says who brought something about that happened to a person.
func initiator(by principal.Principal, user string) ssf.Initiator {
	switch {
	case by.Kind == principal.User && by.ID == user:
		return ssf.ByUser
	case by.Kind == principal.System || by.Kind == "" || by.Kind == principal.Anonymous:
		return ssf.BySystem
	}
	return ssf.ByAdmin
}

// over is what ended a session, by why it did.
func over(by principal.Principal, user, session, why string) ssf.Facts {
	f := ssf.Facts{By: initiator(by, user), Session: session, Reason: "the session was ended"}
	switch why {
	case "signed-out":
		f.Reason = "the person signed out"
	case "replaced":
		f.By, f.Reason = ssf.ByUser, "the person signed in anew in the same browser"
	case "displaced":
		f.By, f.Reason = ssf.ByPolicy, "newer sessions took its place"
	case "reused", "code-reused":
		f.By, f.Reason = ssf.ByPolicy, "a credential of the session was used twice"
	case "password-changed":
		f.Reason = "the password was changed"
	case "disabled", "deleted":
		f.Reason = "the account was " + why
	case "consent-withdrawn":
		f.By, f.Reason = ssf.ByUser, "the person withdrew what he had agreed to"
	case "membership-ended":
		f.Reason = "the person left the organization"
	}
	return f
}

// revoked tells the streams of a client that a session is over in which a person was
// signed in to it. One that came to its time was not revoked.
func (t *tx) revoked(by principal.Principal, user, session, client, why string) error {
	if why == "expired" {
		return nil
	}
	return t.signal(user, ssf.SessionRevoked, over(by, user, session, why), `client_id = ?`, client)
}

// signedInTo chooses the streams of clients that a person is signed in to, or has agreed to
// something for. Its arguments are three times the person.
const signedInTo = `(EXISTS (SELECT 1 FROM consents WHERE consents.user_id = ? AND consents.client_id = ssf_streams.client_id)
	OR EXISTS (SELECT 1 FROM token_families WHERE token_families.user_id = ? AND token_families.client_id = ssf_streams.client_id AND token_families.ended_at = 0)
	OR EXISTS (SELECT 1 FROM sessions JOIN session_clients ON session_clients.session = sessions.id
		WHERE sessions.user_id = ? AND sessions.ended_at = 0 AND session_clients.client_id = ssf_streams.client_id))`

// passwordSet tells of a password that is another one, before what it was signed in with
// ends.
func (t *tx) passwordSet(by principal.Principal, user, was string) error {
	f := ssf.Facts{By: initiator(by, user), Reason: "the password was changed", Credential: ssf.Password, Change: ssf.Update}
	if was == "" {
		f.Reason, f.Change = "a password was set", ssf.Create
	}
	return t.signal(user, ssf.CredentialChange, f, signedInTo, user, user, user)
}

// rolesSet tells of roles that a person was given or that were taken from him on the whole
// server, once that is written.
func (t *tx) rolesSet(by principal.Principal, user string, kind principal.Kind, organization string) error {
	if kind == principal.Service || organization != "" {
		return nil
	}
	if there, err := t.streaming(); err != nil || !there {
		return err
	}
	grants, err := readGrants(t.all, user)
	if err != nil {
		return err
	}
	f := ssf.Facts{By: initiator(by, user), Reason: "the roles were changed", Roles: t.roles.Effective(grants, "", t.now).Roles()}
	return t.signal(user, ssf.TokenClaimsChange, f, signedInTo, user, user, user)
}

func readEvent(r scanner) (ssf.Event, error) {
	var e ssf.Event
	var kind, facts string
	var at int64
	if err := r.Scan(&e.ID, &e.Stream, &e.User, &kind, &facts, &e.Cause, &e.Subject, &at); err != nil {
		return e, err
	}
	e.Kind, e.At = ssf.Kind(kind), clock.FromMicro(at)
	return e, json.Unmarshal([]byte(facts), &e.Facts)
}

// NewEvents returns events of a stream of which nobody has looked whom they are about.
func (s *Store) NewEvents(ctx context.Context, stream string, n int) ([]ssf.Event, error) {
	return s.events(ctx, `subject = ''`, stream, n)
}

// WaitingEvents returns the oldest events of a stream that can be sent. On one that is not
// enabled these are those that say so.
func (s *Store) WaitingEvents(ctx context.Context, stream string, n int) ([]ssf.Event, error) {
	return s.events(ctx, `subject <> '' AND (kind = '`+string(ssf.StreamUpdated)+`' OR EXISTS (SELECT 1 FROM ssf_streams WHERE id = ssf_events.stream AND status = '`+string(ssf.Enabled)+`'))`, stream, n)
}

func (s *Store) events(ctx context.Context, condition, stream string, n int) ([]ssf.Event, error) {
	var list []ssf.Event
	err := s.all(ctx, func(r scanner) error {
		e, err := readEvent(r)
		list = append(list, e)
		return err
	}, `SELECT `+signalColumns+` FROM ssf_events WHERE stream = ? AND `+condition+` ORDER BY at, id LIMIT ?`, stream, n)
	return list, err
}

// SettleEvents writes whom events are about, by their ids, and deletes those that are not
// for the receiver.
func (s *Store) SettleEvents(ctx context.Context, subjects map[string]string, unwanted []string) error {
	return s.write(ctx, func(t *tx) error {
		for _, event := range slices.Sorted(maps.Keys(subjects)) { // in the order in which whoever deletes a stream takes them
			if _, err := t.exec(`UPDATE ssf_events SET subject = ? WHERE id = ? AND subject = ''`, subjects[event], event); err != nil {
				return err
			}
		}
		for _, event := range unwanted {
			if _, err := t.exec(`DELETE FROM ssf_events WHERE id = ?`, event); err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeEvents deletes events that the receiver of a stream has taken, or will not take.
// Another stream's stay.
func (s *Store) TakeEvents(ctx context.Context, stream string, ids []string, events ...audit.Event) error {
	if len(ids) == 0 && len(events) == 0 {
		return nil
	}
	return s.write(ctx, func(t *tx) error {
		for len(ids) > 0 {
			some := ids[:min(100, len(ids))]
			ids = ids[len(some):]
			args := []any{stream}
			for _, one := range some {
				if text(one) {
					args = append(args, one)
				}
			}
			if len(args) == 1 {
				continue
			}
			if _, err := t.exec(`DELETE FROM ssf_events WHERE stream = ? AND id IN (?`+strings.Repeat(", ?", len(args)-2)+`)`, args...); err != nil {
				return err
			}
		}
		return t.record(events...)
	})
}
