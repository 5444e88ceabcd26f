package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/server"
)

// proof is what verify prints.
type proof struct {
	Proved      bool            `json:"proved"`
	Origin      string          `json:"origin"`
	Leaves      int64           `json:"leaves"`
	Events      int64           `json:"events"`
	Retired     int64           `json:"retired"`
	Erased      int64           `json:"erased_parts"`
	Checkpoints int             `json:"checkpoints"`
	Newest      *checkpointView `json:"checkpoint,omitempty"`
	Since       *checkpointView `json:"since,omitempty"`
	Problem     *audit.Problem  `json:"problem,omitempty"`
	Waiting     int64           `json:"waiting"` // events without a leaf, which nothing proves yet

	unasked bool // events are gone, and no setting says that they should
}

type checkpointView struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

func viewCheckpoint(c *audit.Checkpoint) *checkpointView {
	if c == nil {
		return nil
	}
	return &checkpointView{c.Size, c.Root.String()}
}

func (p *program) auditVerify() *cobra.Command {
	var export, since string
	var keys []string
	c := p.command("verify", "Prove that the log was not altered", `It reads the whole log, builds its tree anew and holds it against the signed
checkpoints. What was altered, dropped, put in or reordered since any checkpoint
that was kept elsewhere is found (--since): nothing more can be promised, since
whoever can write into the database can have another log signed from its beginning.

Without --export it reads the database, and the keys that sign come from there,
sealed by the master key, or from --key. With --export it needs neither server nor
database. The exit code is 0 if all is proved and 1 if not.`, `
doorward audit verify
doorward audit verify --since checkpoint-of-last-week.txt
doorward audit verify --export audit.jsonl --key auth.example.com/audit+1a2b3c4d+AZ…`,
		nil, func(c *cobra.Command, _ []string) error {
			var o audit.VerifyOptions
			for _, text := range keys {
				v, err := audit.ParseVerifierKey(text)
				if err != nil {
					return usage(c, "--key: %v", err)
				}
				o.Keys = append(o.Keys, v)
			}
			if since != "" {
				in, shut, err := p.open(since)
				if err != nil {
					return err
				}
				o.Since, err = audit.LastCheckpoint(in)
				shut()
				if err != nil {
					return err
				}
			}
			defer debug.SetGCPercent(debug.SetGCPercent(seldom))
			if export == "" {
				return p.verifyDatabase(c.Context(), o)
			}
			if len(o.Keys) == 0 {
				return usage(c, "--export needs the keys that sign, as doorward audit key prints them: --key VKEY")
			}
			return p.verifyExport(c.Context(), export, o)
		})
	c.Flags().StringVar(&export, "export", "", "verify this `FILE`, or - for stdin, instead of the database")
	c.Flags().StringArrayVar(&keys, "key", nil, "a verifier key that may have signed (`VKEY`); may be repeated")
	c.Flags().StringVar(&since, "since", "", "a `FILE` with a checkpoint that was kept elsewhere; of an export or a sink's file, its last one")
	return c
}

// seldom is how much garbage a verification gathers, in percent of what it holds,
// which is little: it takes an eighth less time.
const seldom = 400

func (p *program) verifyDatabase(ctx context.Context, o audit.VerifyOptions) error {
	return p.with(ctx, func(k *server.Core) error {
		if len(o.Keys) == 0 {
			var err error
			if o.Keys, err = verifiers(ctx, k); err != nil {
				return err
			}
		}
		r, err := audit.Verify(ctx, k.Store.AuditLog(), o)
		if err != nil {
			return err
		}
		waiting, err := k.Store.EventsWaiting(ctx)
		if err != nil {
			return err
		}
		return p.printProof(proof{Waiting: waiting, unasked: k.Config.Audit.Retention == 0}, r)
	})
}

// verifiers are the keys of the database.
func verifiers(ctx context.Context, k *server.Core) ([]note.Verifier, error) {
	if err := k.Keys.Load(ctx); err != nil {
		return nil, err
	}
	origin, err := k.Store.BeginLog(ctx, "")
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil // somebody deleted that row, and what is verified tells of it
	} else if err != nil || origin == "" {
		return nil, err
	}
	return k.Keys.AuditVerifiers(origin)
}

func (p *program) verifyExport(ctx context.Context, path string, o audit.VerifyOptions) error {
	in, shut, err := p.open(path)
	if err != nil {
		return err
	}
	defer shut()
	r, err := audit.Verify(ctx, audit.NewExported(in), o)
	if err != nil {
		return err
	}
	return p.printProof(proof{}, r)
}

// open opens a file, or stdin for "-".
func (p *program) open(path string) (io.Reader, func(), error) {
	if path == "-" {
		return p.stdin, func() {}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { f.Close() }, nil
}

// printProof prints v with what was found.
func (p *program) printProof(v proof, r audit.Report) error {
	v.Proved, v.Origin, v.Leaves, v.Events, v.Erased = r.Problem == nil, r.Origin, r.Size, r.Events, r.Erased
	v.Checkpoints, v.Newest, v.Since, v.Problem = r.Checkpoints, viewCheckpoint(r.Newest), viewCheckpoint(r.Since), r.Problem
	if v.Proved {
		v.Retired = r.Size - r.Events
	}
	if err := p.print(v, v.table()); err != nil || v.Proved {
		return err
	}
	return errShown
}

func (v proof) table() table {
	var t table
	if v.Problem != nil && v.Problem.UnknownKey {
		t.row("NOT PROVED", "a key is missing, or the log "+v.Origin+" was altered")
		t.row("why", v.Problem.Why)
		t.row("what to do", "Give the first key of the log that you trust, or all of them, with --key; doorward audit key prints those of the database.")
		return t
	}
	if v.Problem != nil && v.Problem.Unproved {
		t.row("NOT PROVED", "the log "+v.Origin+" grew while it was exported, or the export was altered")
		t.row("first leaf", grouped(v.Problem.Leaf))
		t.row("why", v.Problem.Why)
		t.row("what to do", "Export it again, when a server has run. An event behind the checkpoint of this file excuses what is missing, and nothing in it proves that event.")
		return t
	}
	if v.Problem != nil {
		t.row("NOT PROVED", "the log "+v.Origin+" was altered")
		if v.Problem.Leaf >= 0 {
			t.row("first bad leaf", grouped(v.Problem.Leaf))
		}
		if v.Problem.Event != "" {
			t.row("event", v.Problem.Event)
		}
		t.row("why", v.Problem.Why)
		t.row("what to do", "Keep a copy of the database as it is. Compare it with your exports, sinks and backups, and find out who could write to it.")
		return t
	}
	t.row("proved", fmt.Sprintf("%s events of %s", grouped(v.Events), v.Origin))
	if v.Retired > 0 {
		t.row("retired", fmt.Sprintf("%s events whose time was over; their hashes are proved", grouped(v.Retired)))
		if v.unasked {
			t.row("", "but audit.retention is not set now: see who had it done, doorward audit list --action audit.retired")
		}
	}
	if v.Erased > 0 {
		t.row("erased", fmt.Sprintf("%s private parts of persons who were erased", grouped(v.Erased)))
	}
	if v.Waiting > 0 {
		t.row("waiting", fmt.Sprintf("%s without a place in the tree yet, which nothing proves; a server that runs gives one", grouped(v.Waiting)))
	}
	if v.Newest != nil {
		t.row("checkpoint", fmt.Sprintf("of %s leaves, %s; %d agree", grouped(v.Newest.Size), v.Newest.Root, v.Checkpoints))
	}
	if v.Since != nil {
		t.row("since", fmt.Sprintf("the checkpoint of %s leaves that you kept", grouped(v.Since.Size)))
	} else {
		t.row("since", "the checkpoints that the log itself has; keep one elsewhere, and give it with --since")
	}
	return t
}

// grouped writes a number with commas: 1,234,567.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
