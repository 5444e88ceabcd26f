package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"github.com/doorward/doorward/internal/storm/program"
)

// prove has the program prove the audit log, back to the checkpoint that was
// handed out before: what was signed and shown outlives every kill.
func (s *storm) prove(ctx context.Context) error {
	args := []string{"audit", "verify"}
	if s.kept != "" {
		args = append(args, "--since", s.kept)
	}
	out, err := program.Run(ctx, s.command(args...), "")
	if err != nil {
		s.verdict.violated("log", "it is not proved: %v\n%s", err, out)
		return nil
	}
	s.sum.add("proofs of the audit log")
	a := (&base{storm: s, who: "log"}).manage(http.MethodGet, "/audit/checkpoint", nil, "")
	if !a.sent {
		return nil // the server was asked to stop
	}
	if a.status != http.StatusOK {
		return errors.New("no checkpoint is handed out: " + a.String())
	}
	s.kept = filepath.Join(s.folder, "checkpoint")
	return os.WriteFile(s.kept, a.body, 0o600)
}
