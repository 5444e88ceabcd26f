package store

import (
	"context"
	"strings"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
)

// CreateExchange writes a rule, for who may let the client do all that it may ask for.
func (s *Store) CreateExchange(ctx context.Context, by principal.Principal, x client.Exchange, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.uponExchange(by, x.Client); err != nil {
			return err
		}
		if from, is := strings.CutPrefix(x.From, client.OfClient("")); is && from != client.Builtin.ID {
			if _, err := t.client(from); fault.KindOf(err) == fault.NotFound {
				return fault.At("from", "there is no such client").Because(err)
			} else if err != nil {
				return err
			}
		}
		var has int64
		if err := t.one(`SELECT COUNT(*) FROM token_exchanges WHERE client = ?`, x.Client).scan(&has); err != nil {
			return err
		}
		if has >= client.MostExchanges {
			return fault.New(fault.Conflict, "there are %d rules of one client at the most", client.MostExchanges)
		}
		_, err := t.exec(`INSERT INTO token_exchanges (id, client, source, resource, impersonation, created_by, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			x.ID, x.Client, x.From, x.Resource, x.Impersonation, x.CreatedBy, clock.Micro(x.CreatedAt))
		if _, dup := duplicate(err); dup {
			return fault.New(fault.Conflict, "there is a rule for these tokens and this resource already; end it to make another").Because(err)
		} else if err != nil {
			return err
		}
		return t.record(e)
	})
}

// uponExchange begins a change of a client's rules. Such a rule lets it use its scopes in
// anybody's name: it is given all of them.
func (t *tx) uponExchange(by principal.Principal, id string) error {
	c, err := t.uponClient(by, id, 0)
	if err != nil {
		return err
	}
	return t.givesClient(by, c.Scopes)
}

// Exchanges returns the rules of a client, in the order of their ids.
func (s *Store) Exchanges(ctx context.Context, id string) ([]client.Exchange, error) {
	var list []client.Exchange
	err := s.all(ctx, func(r scanner) error {
		x := client.Exchange{Client: id}
		var created int64
		err := r.Scan(&x.ID, &x.From, &x.Resource, &x.Impersonation, &x.CreatedBy, &created)
		x.CreatedAt = clock.FromMicro(created)
		list = append(list, x)
		return err
	}, `SELECT id, source, resource, impersonation, created_by, created_at FROM token_exchanges WHERE client = ? ORDER BY id`, id)
	return list, err
}

// DeleteExchange ends a rule. What the client was given by it cannot be told from its
// other tokens: all are void.
func (s *Store) DeleteExchange(ctx context.Context, by principal.Principal, x client.Exchange, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if _, err := t.uponClient(by, x.Client, 0); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM token_exchanges WHERE id = ? AND client = ?`, x.ID, x.Client)
		if err != nil {
			return err
		}
		if n == 0 {
			return client.NoExchange()
		}
		if err := t.changed(feed.GrantLost, x.Client, t.policy); err != nil {
			return err
		}
		return t.record(e)
	})
}

// forgetExchanges deletes the rules of a client that goes, and of tokens of it: another of
// its id is another client.
func (t *tx) forgetExchanges(id string) error {
	_, err := t.exec(`DELETE FROM token_exchanges WHERE client = ? OR source = ?`, id, client.OfClient(id))
	return err
}

// IssueExchanged records that a client was given a token for another, if it still is the
// client that proved itself, and a rule lets it. Who exchanges reads the version of the
// policy that the token names before: what is lost after this makes the token void.
func (s *Store) IssueExchanged(ctx context.Context, c client.Client, want client.Exchange, to issue.Issuance, e audit.Event) error {
	records := recordsOf(e)
	return s.through(ctx, s.db.record, func(t *tx) error {
		if err := t.stillMay(c, to.Grant, to.Scopes); err != nil {
			return err
		}
		if err := t.mayExchange(want); err != nil {
			return err
		}
		if err := t.keepRun(to.Run); err != nil {
			return err
		}
		t.keep(records)
		return nil
	})
}

// mayExchange returns a Denied fault where no rule allows what is wanted, with the field
// that none fits.
func (t *tx) mayExchange(want client.Exchange) error {
	field := "subject_token"
	err := t.all(func(r scanner) error {
		var resource string
		var impersonation bool
		err := r.Scan(&resource, &impersonation)
		switch {
		case field == "" || field != "subject_token" && resource != want.Resource:
		case resource != want.Resource:
			field = "resource"
		case want.Impersonation && !impersonation:
			field = "actor_token"
		default:
			field = ""
		}
		return err
	}, `SELECT resource, impersonation FROM token_exchanges WHERE client = ? AND source = ?`, want.Client, want.From)
	if err != nil || field == "" {
		return err
	}
	return &fault.Error{Kind: fault.Denied, Field: field, Message: "no rule allows the exchange"}
}
