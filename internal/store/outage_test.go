package store_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// What the database cannot do for now is told as that, by reads and by writes; what
// it will never do is not (F7, F8).
func TestOutage(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var faults storetest.Faults
		s := storetest.Open(t, dsn, store.Options{Wrap: faults.Wrap})
		for err, want := range map[error]fault.Kind{
			refused:                          fault.Unavailable,
			driver.ErrBadConn:                fault.Unavailable,
			context.DeadlineExceeded:         fault.Unavailable,
			&pgconn.PgError{Code: "57P03"}:   fault.Unavailable, // it is starting
			&pgconn.PgError{Code: "53100"}:   fault.Unavailable, // the disk is full
			&pgconn.PgError{Code: "25006"}:   fault.Unavailable, // it may only be read
			&pgconn.PgError{Code: "40001"}:   fault.Unavailable, // after some tries
			&pgconn.PgError{Code: "42P01"}:   0,                 // no such table
			errors.New("something is wrong"): 0,
		} {
			faults.Use(func(step storetest.Step) storetest.Fault {
				if step.Kind == "rollback" {
					return storetest.Fault{}
				}
				return storetest.Fault{Err: err}
			})
			_, read := s.User(t.Context(), "06eadcervsh0om6j6juveoabcd")
			_, family := s.FamilyByHandle(t.Context(), secret.HashOf([]byte("x")))
			_, users := s.Users(t.Context(), account.Filter{Limit: 1})
			record := s.Record(t.Context(), audit.Event{ID: fmt.Sprintf("%p", err), Action: audit.ServerStarted, Actor: principal.Principal{Kind: principal.System}})
			faults.Use(nil)
			for verb, got := range map[string]error{"a read": read, "a family": family, "a list": users, "a write": record} {
				if got == nil || fault.KindOf(got) != want {
					t.Errorf("%s, at %v: %v, of kind %v; want %v", verb, err, got, fault.KindOf(got), want)
				} else if !strings.Contains(got.Error(), err.Error()) && !strings.Contains(got.Error(), "connection is already closed") { // after one that was bad
					t.Errorf("%s, at %v: %v does not tell an operator why", verb, err, got)
				}
			}
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("it does not recover: %v", err)
		}
	})
}
