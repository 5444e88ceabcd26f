package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) signingKey() *cobra.Command {
	return group("signing-key", "The keys that sign tokens", `The keys that sign tokens. A key is first published (next), then signs (active),
then only verifies what it signed (retiring), and is gone once that has expired.`,
		p.keyList(), p.keyRotate(), p.keyRetire())
}

// withKeys runs a command on the database that is there, with its keyring.
func (p *program) withKeys(ctx context.Context, do func(k *server.Core) error) error {
	return p.with(ctx, func(k *server.Core) error {
		if err := k.Keys.Load(ctx); err != nil {
			return err
		}
		return do(k)
	})
}

// keyView is a signing key as it is printed.
type keyView struct {
	ID         string `json:"kid"`
	Algorithm  string `json:"alg"`
	For        string `json:"for"`
	State      string `json:"state"`
	CreatedAt  string `json:"created_at"`
	ActiveFrom string `json:"active_from"`
	RetiredAt  string `json:"retired_at,omitempty"`
}

func viewKey(k keyring.Key, s keyring.State) keyView {
	use := "all"
	if k.Purpose != keyring.Access {
		use = "APIs with " + string(k.Alg)
	}
	return keyView{k.ID, string(k.Alg), use, string(s), stamp(k.CreatedAt), stamp(k.ActiveFrom), stamp(k.RetiredAt)}
}

func (p *program) keyList() *cobra.Command {
	return p.command("list", "List the signing keys and their states", "The newest first. Private keys are never shown.", "doorward signing-key list",
		nil, func(c *cobra.Command, _ []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				list := page[keyView]{Items: []keyView{}}
				t := table{head: []string{"KID", "ALG", "STATE", "CREATED", "SIGNS FROM", "WITHDRAWN", "FOR"}}
				keys, states := k.Keys.Keys()
				for i, key := range keys {
					v := viewKey(key, states[i])
					list.Items = append(list.Items, v)
					t.row(v.ID, v.Algorithm, v.State, moment(key.CreatedAt, ""), moment(key.ActiveFrom, ""), moment(key.RetiredAt, ""), v.For)
				}
				return p.print(list, t)
			})
		})
}

func (p *program) keyRotate() *cobra.Command {
	var ahead time.Duration
	var now bool
	var alg string
	c := p.command("rotate", "Make a new signing key", `It is published for signing.publish_ahead before it signs, so that every API has
it by then; the one before stays published until the last token that it signed
has expired. Running servers take both up by themselves.

With --now it signs at once: for a key that others may know, followed by
signing-key retire. APIs that cached the keys meet the new one unprepared.

APIs that chose an algorithm for themselves have keys of their own: --alg.`, `
doorward signing-key rotate
doorward signing-key rotate --alg RS256
doorward signing-key rotate --publish-ahead 10m`,
		nil, func(c *cobra.Command, _ []string) error {
			given := c.Flags().Changed("publish-ahead")
			switch {
			case now && given:
				return usage(c, "--now and --publish-ahead exclude each other")
			case given && (ahead < 0 || ahead > 30*24*time.Hour):
				return usage(c, "--publish-ahead is from 0s to 720h")
			}
			return p.withKeys(c.Context(), func(k *server.Core) error {
				if !now && !given {
					ahead = k.Config.Signing.PublishAhead
				}
				made, err := rotateKey(c.Context(), k, p.operator(), alg, ahead)
				if err != nil {
					return err
				}
				if !now && ahead < provider.KeysMaxAge {
					p.say("APIs may cache the published keys for %s, and this one signs sooner: some may refuse its first tokens for a moment", provider.KeysMaxAge)
				}
				return p.printKey(k, made.ID)
			})
		})
	c.Flags().DurationVar(&ahead, "publish-ahead", 0, "publish it for this long before it signs (`DURATION`); signing.publish_ahead if not given")
	c.Flags().BoolVar(&now, "now", false, "sign with it at once")
	c.Flags().StringVar(&alg, "alg", "", "for the APIs that chose this algorithm (`ALG`), and not for all others")
	return c
}

func rotateKey(ctx context.Context, k *server.Core, by principal.Principal, alg string, ahead time.Duration) (keyring.Key, error) {
	if alg == "" {
		return k.Keys.Rotate(ctx, by, ahead)
	}
	return k.Keys.RotateFor(ctx, by, jose.Algorithm(alg), ahead)
}

func (p *program) keyRetire() *cobra.Command {
	return p.command("retire", "Withdraw a signing key at once", `It is published no more, and what it signed is refused: its users sign in again.
The only key that signs cannot be withdrawn: rotate --now first.`, "doorward signing-key retire KID",
		[]string{"KID"}, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				if err := k.Keys.Retire(c.Context(), p.operator(), args[0]); err != nil {
					return err
				}
				return p.printKey(k, args[0])
			})
		})
}

func (p *program) printKey(k *server.Core, kid string) error {
	keys, states := k.Keys.Keys()
	for i, key := range keys {
		if key.ID != kid {
			continue
		}
		var t table
		t.row("kid", key.ID)
		t.row("alg", string(key.Alg))
		t.row("state", string(states[i]))
		t.row("signs from", moment(key.ActiveFrom, ""))
		if !key.RetiredAt.IsZero() {
			t.row("withdrawn", moment(key.RetiredAt, ""))
		}
		return p.print(viewKey(key, states[i]), t)
	}
	return nil
}
