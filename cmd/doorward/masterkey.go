package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) masterKey() *cobra.Command {
	return group("master-key", "The key that seals the others", "The key that seals signing keys and other secrets in the database.", p.masterKeyRotate())
}

func (p *program) masterKeyRotate() *cobra.Command {
	var prepare bool
	c := p.command("rotate", "Replace the master key while servers run", `A new key is put before the old one in the master key's file, and everything in
the database is sealed anew under it, in one transaction. The old key stays in
the file, for the backups that were made before. If the command is interrupted,
run it again: it finishes what was begun and makes no further key.

Where each of several servers has a file of its own, run it with --prepare, copy
the file to all of them, and run it again without. Where the key comes from
DOORWARD_MASTER_KEY, put a new key before the old one there, with a comma between
them, restart the servers, and then run it with the same value.`, `
doorward master-key rotate
doorward master-key rotate --prepare`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error { return p.rotateMaster(c.Context(), k, prepare) })
		})
	c.Flags().BoolVar(&prepare, "prepare", false, "only put a new key into the file; seal nothing under it yet")
	return c
}

// rotateMaster goes on from wherever the rotation stands: what is sealed under
// another key than the first tells whether one was begun.
func (p *program) rotateMaster(ctx context.Context, k *server.Core, prepare bool) error {
	key := k.Config.MasterKey
	if key.Path != "" {
		unlock, err := lockBeside(key.Path)
		if err != nil {
			return fmt.Errorf("master key: %w", err)
		}
		defer unlock()
	}
	sealer, keys, err := loadMaster(key)
	if err != nil {
		return err
	}
	old, total, err := sealedUnderOthers(ctx, k, sealer)
	switch {
	case err != nil:
		return err
	case total == 0:
		return fault.New(fault.Conflict, "the database holds nothing that the master key seals: has a server run on it yet?")
	case old == 0 && !key.Text.IsZero():
		return p.rotateGiven(keys)
	case old == 0:
		if err := addMaster(key.Path, p.began); err != nil {
			return fmt.Errorf("the master key was not changed: %w; where its file cannot be written here, put a new key (openssl rand -base64 32) on a line before the others yourself, and run this again", err)
		}
		if sealer, _, err = loadMaster(key); err != nil {
			return err
		}
		if prepare {
			p.say("%s has a new key; copy it to every server, and then run doorward master-key rotate again", key.Path)
			return p.printMaster(sealer, 0)
		}
	case prepare:
		return fault.New(fault.Conflict, "%d of %d secrets are still sealed under an older key: the first key is new already; copy the file to every server, and then run doorward master-key rotate", old, total)
	}
	n, err := k.Keys.Reseal(ctx, p.operator())
	if err != nil {
		return fmt.Errorf("nothing was sealed anew, and all servers go on as before; put right what is wrong and run this again: %w", err)
	}
	if old, _, err = sealedUnderOthers(ctx, k, sealer); err != nil {
		return err
	} else if old > 0 {
		return fault.New(fault.Conflict, "%d secrets were sealed under an older key meanwhile: does every server have the new one? run this again", old)
	}
	if err := k.Keys.Load(ctx); err != nil {
		return err
	}
	return p.printMaster(sealer, n)
}

// errLocked says that the master key is being rotated. Of two rotations at once,
// one would throw away the key that the other seals under.
var errLocked = errors.New("another run rotates it at this moment")

// rotateGiven says what to do where the environment holds the key and nothing
// is sealed under another than its first.
func (p *program) rotateGiven(keys int) error {
	if keys > 1 {
		p.say("everything is sealed under the first key of DOORWARD_MASTER_KEY already; the others are needed for older backups alone")
		return nil
	}
	return fault.New(fault.Invalid, "the master key comes from DOORWARD_MASTER_KEY, which this command cannot change: make a new key (openssl rand -base64 32), put it there before the old one with a comma between them, restart the servers, and run this again")
}

func (p *program) printMaster(s *secret.Sealer, sealed int) error {
	var t table
	t.row("master key", s.Current())
	t.row("sealed anew", fmt.Sprint(sealed))
	return p.print(map[string]any{"master_key_id": s.Current(), "sealed": sealed}, t)
}

// loadMaster reads the master key as the servers do, and counts its keys.
func loadMaster(key config.MasterKey) (*secret.Sealer, int, error) {
	text, err := key.Load()
	if err != nil {
		return nil, 0, err
	}
	s, err := secret.ParseSealer(text)
	if err != nil {
		return nil, 0, fmt.Errorf("master key: %w", err)
	}
	return s, s.Keys(), nil
}

// sealedUnderOthers counts what is sealed, and of that what is sealed under
// another key than the first.
func sealedUnderOthers(ctx context.Context, k *server.Core, s *secret.Sealer) (others, total int, err error) {
	keys, errKeys := k.Store.SigningKeys(ctx)
	peppers, errPeppers := k.Store.Peppers(ctx)
	if err := errors.Join(errKeys, errPeppers); err != nil {
		return 0, 0, err
	}
	count := func(blob []byte) {
		total++
		if secret.KeyOf(blob) != s.Current() {
			others++
		}
	}
	for _, key := range keys {
		count(key.Blob)
	}
	for _, pepper := range peppers {
		count(pepper.Blob)
	}
	return others, total, nil
}

// addMaster puts a new key before those in the file.
func addMaster(path string, now time.Time) error {
	before, err := config.MasterKey{Path: path}.Load()
	if err != nil {
		return err
	}
	text := masterFile(secret.NewMaster()) +
		"# Since " + now.UTC().Format(time.RFC3339) + " what follows is needed for older backups alone.\n" +
		strings.TrimPrefix(before.Reveal(), masterHead) + "\n"
	return replace(path, []byte(text))
}

const masterHead = "# The master key of doorward. The first key seals, and all of them open.\n"

// masterFile is what a file with one key holds.
func masterFile(key secret.Text) string { return masterHead + key.Reveal() + "\n" }
