package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/doorward/doorward/internal/fault"
)

// outage makes an error that says that the database does not serve for now a fault
// of kind Unavailable: whoever asked may come again, and nobody is at fault. Within
// a transaction it stays what it is.
func outage(err error) error {
	if err == nil || fault.KindOf(err) != 0 || !out(err) {
		return err
	}
	return fault.New(fault.Unavailable, "the database does not answer at the moment: try again soon").Because(err)
}

func out(err error) bool {
	for _, lost := range []error{errClosed, sql.ErrConnDone, driver.ErrBadConn, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, lost) {
			return true
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		// PostgreSQL, Appendix A: a connection that broke, too few resources, a
		// disk that is full, an operator who stops the server or a statement, the
		// failure of what is below it, a server that may only be read.
		switch class := e.Code[:min(2, len(e.Code))]; class {
		case "08", "40", "53", "57", "58":
			return true
		}
		return e.Code == "25006" || e.Code == "55P03"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // without what it says in detail
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok { // also a time that is over
		return true
	}
	return strings.HasSuffix(err.Error(), "sql: database is closed") // which has no name
}
