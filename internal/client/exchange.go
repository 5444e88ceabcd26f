package client

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// Exchange is a rule: a client may exchange tokens that came from somewhere for tokens
// for one API (RFC 8693). What no rule allows is forbidden.
type Exchange struct {
	ID            string
	Client        string // that may exchange
	From          string // OfClient of whom they were issued to, or APIKeys
	Resource      string // the identifier of the API that the new ones are for
	Impersonation bool   // also without an actor, in the place of the subject
	CreatedBy     string // as the audit log names who made it
	CreatedAt     time.Time
}

// APIKeys is where API keys come from, as rules name it.
const APIKeys = "api-keys"

// OfClient returns where the tokens of a client come from, as rules name it.
func OfClient(id string) string { return "client:" + id }

// MostExchanges is how many rules a client may have.
const MostExchanges = 100

// Target returns the rule as the audit log names it.
func (x Exchange) Target() string { return "exchange:" + x.ID }

// ExchangeStore keeps the rules of exchanges. Whoever makes one, or ends one, may touch
// the client, and holds himself whatever it may ask for: for that it may stand in for
// anybody.
type ExchangeStore interface {
	// CreateExchange returns a NotFound for an unknown client, an Invalid for an unknown
	// From, and a Conflict for a rule that is there, or one too many.
	CreateExchange(ctx context.Context, by principal.Principal, x Exchange, e audit.Event) error
	// Exchanges returns the rules of a client, in the order of their ids.
	Exchanges(ctx context.Context, client string) ([]Exchange, error)
	// DeleteExchange returns a NotFound for an unknown rule. The client's tokens are void.
	DeleteExchange(ctx context.Context, by principal.Principal, x Exchange, e audit.Event) error
}

// AllowExchange makes a rule. Faults: Invalid with the field, and those of
// ExchangeStore.CreateExchange; Denied by the grant rule.
func (s *Service) AllowExchange(ctx context.Context, by principal.Principal, x Exchange) (Exchange, error) {
	from, ofClient := strings.CutPrefix(x.From, OfClient(""))
	if x.From != APIKeys && (!ofClient || !known(from) && from != Builtin.ID) {
		return Exchange{}, fault.At("from", "it is client: and the id of whom the tokens were issued to, or %s", APIKeys)
	}
	if err := oauth.CheckResource(x.Resource); err != nil {
		return Exchange{}, fault.At("resource", "it is the identifier of a resource").Because(err)
	}
	now := s.clock.Now()
	x.ID, x.CreatedAt, x.CreatedBy = id.New(now), now, by.String()
	return x, s.store.CreateExchange(ctx, by, x, x.event(by, now, audit.ExchangeAllowed))
}

// Exchanges returns the rules of a client, or a NotFound.
func (s *Service) Exchanges(ctx context.Context, client string) ([]Exchange, error) {
	if _, err := s.Fresh(ctx, client); err != nil {
		return nil, err
	}
	return s.store.Exchanges(ctx, client)
}

// Exchange returns a rule of a client, or a NotFound.
func (s *Service) Exchange(ctx context.Context, client, rule string) (Exchange, error) {
	list, err := s.Exchanges(ctx, client)
	if err != nil {
		return Exchange{}, err
	}
	i := slices.IndexFunc(list, func(x Exchange) bool { return x.ID == rule })
	if i < 0 {
		return Exchange{}, NoExchange()
	}
	return list[i], nil
}

// NoExchange is the fault of a rule that is not there.
func NoExchange() error { return fault.New(fault.NotFound, "there is no such rule of this client") }

// ForbidExchange ends a rule. What the client was given by it is void within a second,
// and all its other tokens with that.
func (s *Service) ForbidExchange(ctx context.Context, by principal.Principal, client, rule string) error {
	x, err := s.Exchange(ctx, client, rule)
	if err != nil {
		return err
	}
	return s.store.DeleteExchange(ctx, by, x, x.event(by, s.clock.Now(), audit.ExchangeForbidden))
}

func (x Exchange) event(by principal.Principal, at time.Time, a audit.Action) audit.Event {
	return audit.Now(by, at, a, x.Target()).With("client", x.Client).With("from", x.From).With("resource", x.Resource).
		With("impersonation", strconv.FormatBool(x.Impersonation))
}
