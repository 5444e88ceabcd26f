package server

import (
	"context"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/sink"
)

// sinks makes the places that the log is sent to.
func (k *Core) sinks() (*sink.Sinks, error) {
	return sink.New(k.Config.Audit.Sinks, sink.Options{Log: k.Store, Clock: k.Clock, Logger: k.Log, Secret: k.Config.Audit.WebhookSecret})
}

// Shipping is how far one of the configured sinks got.
type Shipping struct {
	Place string // as a log may name it
	Away  bool   // what it takes leaves this machine
	audit.Shipped
}

// Shipping returns how far each configured sink got, in the order of the
// configuration. A checkpoint leaves the machine if one of them is Away and has
// one: its SentAt tells since when nothing came.
func (k *Core) Shipping(ctx context.Context) ([]Shipping, error) {
	var list []Shipping
	for _, s := range k.Config.Audit.Sinks {
		at, err := k.Store.Sink(ctx, sink.Key(s))
		if err != nil {
			return nil, err
		}
		list = append(list, Shipping{s.Place(), s.Away(), at})
	}
	return list, nil
}
