package store

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/outbox"
)

// InboxFor is how long dev's inbox keeps a letter.
const InboxFor = 7 * 24 * time.Hour

// KeepMail puts mail into the local inbox, instead of sending it. The same mail
// is there once, however often it comes.
func (s *Store) KeepMail(ctx context.Context, m outbox.Mail) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO inbox (id, user_id, address, subject, body, html, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			m.ID, m.User, m.To, m.Subject, m.Text, m.HTML, clock.Micro(m.At))
		return err
	})
}

const mailColumns = `id, user_id, address, subject, body, html, at`

func readMail(r scanner) (outbox.Mail, error) {
	var m outbox.Mail
	var at int64
	err := r.Scan(&m.ID, &m.User, &m.To, &m.Subject, &m.Text, &m.HTML, &at)
	m.At = clock.FromMicro(at)
	return m, err
}

// KeptMail returns one mail of the local inbox, or a NotFound.
func (s *Store) KeptMail(ctx context.Context, id string) (outbox.Mail, error) {
	var m outbox.Mail
	err := s.one(ctx, `SELECT `+mailColumns+` FROM inbox WHERE id = ?`, id).read(func(r scanner) (err error) { m, err = readMail(r); return err })
	return m, absent(err, "letter")
}

// ListMail returns the newest mails of the local inbox.
func (s *Store) ListMail(ctx context.Context, limit int) ([]outbox.Mail, error) {
	var list []outbox.Mail
	err := s.all(ctx, func(r scanner) error {
		m, err := readMail(r)
		list = append(list, m)
		return err
	}, `SELECT `+mailColumns+` FROM inbox ORDER BY at DESC, id DESC LIMIT ?`, limit)
	return list, err
}
