package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
)

// CreateDevice keeps a device that waits for a person.
func (s *Store) CreateDevice(ctx context.Context, d grant.Device) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO devices (hash, user_code, client_id, scope, audience, address, user_agent, created_at, expires_at, polled_at, poll_interval,
				decision, user_id, session, amr, auth_time, used_at, family) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '', '', '', '', 0, 0, '')
			ON CONFLICT (user_code) DO NOTHING`,
			d.Hash[:], string(d.UserCode), d.Client, strings.Join(d.Scope, " "), d.Audience, d.Address, d.Agent, clock.Micro(d.Created), clock.Micro(d.Expires),
			d.Interval.Microseconds())
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "another device has this code")
		}
		return err
	})
}

const deviceColumns = `SELECT hash, user_code, client_id, scope, audience, address, user_agent, created_at, expires_at, poll_interval,
		decision, user_id, session, amr, auth_time, used_at, family FROM devices `

func readDevice(r row) (grant.Device, error) {
	var d grant.Device
	var hash []byte
	var code, scope, decision, amr string
	var created, expires, interval, auth, used int64
	err := r.scan(&hash, &code, &d.Client, &scope, &d.Audience, &d.Address, &d.Agent, &created, &expires, &interval,
		&decision, &d.User, &d.Session, &amr, &auth, &used, &d.Family)
	copy(d.Hash[:], hash)
	d.UserCode, d.Decision, d.Interval = grant.UserCode(code), grant.Decision(decision), time.Duration(interval)*time.Microsecond
	d.Scope, d.AMR = strings.Fields(scope), strings.Fields(amr)
	d.Created, d.Expires, d.AuthTime, d.Used = clock.FromMicro(created), clock.FromMicro(expires), clock.FromMicro(auth), clock.FromMicro(used)
	return d, absent(err, "device")
}

// Device returns a device by its device code.
func (s *Store) Device(ctx context.Context, hash secret.Hash) (grant.Device, error) {
	return readDevice(s.one(ctx, deviceColumns+`WHERE hash = ?`, hash[:]))
}

// DeviceByUserCode returns a device by what a person types.
func (s *Store) DeviceByUserCode(ctx context.Context, c grant.UserCode) (grant.Device, error) {
	return readDevice(s.one(ctx, deviceColumns+`WHERE user_code = ?`, string(c)))
}

// PollDevice notes that a device asks, and whether it waited as long as it should. If it
// did not, it must wait longer from now on.
func (s *Store) PollDevice(ctx context.Context, hash secret.Hash) (patient bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		now := clock.Micro(t.now)
		n, err := t.exec(`UPDATE devices SET polled_at = ? WHERE hash = ? AND polled_at + poll_interval <= ?`, now, hash[:], now+grant.DeviceLeeway.Microseconds())
		patient = n == 1
		if err != nil || patient {
			return err
		}
		_, err = t.exec(`UPDATE devices SET polled_at = ?, poll_interval = poll_interval + ? WHERE hash = ?`, now, grant.DeviceInterval.Microseconds(), hash[:])
		return err
	})
	return patient, err
}

// DecideDevice writes what a person said to a device, if nobody has yet.
func (s *Store) DecideDevice(ctx context.Context, d grant.Device, agreed *grant.AgreedTo, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE devices SET decision = ?, user_id = ?, session = ?, scope = ?, amr = ?, auth_time = ?
			WHERE hash = ? AND decision = '' AND expires_at > ?`,
			string(d.Decision), d.User, d.Session, strings.Join(d.Scope, " "), strings.Join(d.AMR, " "), clock.Micro(d.AuthTime), d.Hash[:], clock.Micro(t.now))
		if err != nil {
			return err
		}
		if n == 0 {
			return absent(sql.ErrNoRows, "device")
		}
		if agreed != nil {
			if err := t.agree(*agreed); err != nil {
				return err
			}
		}
		return t.record(events...)
	})
}

// RedeemDevice uses a device code up for a family that begins with it.
func (s *Store) RedeemDevice(ctx context.Context, d grant.Device, f grant.Family, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.stands(d.Given); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE devices SET used_at = ?, family = ? WHERE hash = ? AND used_at = 0 AND decision = ? AND expires_at > ?`,
			clock.Micro(t.now), f.ID, d.Hash[:], string(grant.Allowed), clock.Micro(t.now))
		if err != nil {
			return err
		}
		if n == 0 {
			return errUsed
		}
		return t.beginFamily(f, events...)
	})
}
