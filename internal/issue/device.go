package issue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

// DeviceStore is what is kept of devices that wait for a person (RFC 8628).
type DeviceStore interface {
	// CreateDevice keeps a device. It returns a Conflict if its user code is another's.
	CreateDevice(ctx context.Context, d grant.Device) error
	// Device returns a device by its device code, or a NotFound.
	Device(ctx context.Context, hash secret.Hash) (grant.Device, error)
	// DeviceByUserCode returns a device by what a person types, or a NotFound.
	DeviceByUserCode(ctx context.Context, c grant.UserCode) (grant.Device, error)
	// PollDevice notes that a device asks, and reports whether it waited for its
	// interval. If it did not, that is longer from now on.
	PollDevice(ctx context.Context, hash secret.Hash) (patient bool, err error)
	// DecideDevice writes what a person said to a device, with what he agreed to, if
	// anything. It returns a NotFound if somebody said something before, or the time is
	// over.
	DecideDevice(ctx context.Context, d grant.Device, agreed *grant.AgreedTo, events ...audit.Event) error
	// RedeemDevice uses a device code up for a family that begins with it, by one
	// statement that only one of many uses can win: the others are a Conflict. It returns
	// an Unauthenticated fault if the account is not active any more, or the session in
	// which it was allowed is over.
	RedeemDevice(ctx context.Context, d grant.Device, f grant.Family, events ...audit.Event) error
}

// DeviceRequest is what a device asks for (RFC 8628, Section 3.1).
type DeviceRequest struct {
	Client   client.Client
	Scope    []string
	Resource []string
}

// deviceRequests is how many devices may begin from one network: many stand behind one
// address, and none of them asks often.
var deviceRequests = limit.Rate{Times: 60, Per: time.Minute}

// AskDevice lets a device wait for a person. It returns what is kept of it, and its
// device code. The fault is Limited where too many asked from there.
func (s *Service) AskDevice(ctx context.Context, by principal.Principal, r DeviceRequest) (grant.Device, secret.Text, error) {
	c := r.Client
	switch {
	case !c.May(oauth.DeviceCode):
		return grant.Device{}, secret.Text{}, &oauth.Error{Code: oauth.UnauthorizedClient, Description: "the client may not use this grant"}
	case len(c.Beyond(permissions(r.Scope))) > 0:
		return grant.Device{}, secret.Text{}, &oauth.Error{Code: oauth.InvalidScope, Description: "the client may not ask for one of these scopes"}
	}
	audience, err := s.audience(ctx, r.Resource)
	if err != nil {
		return grant.Device{}, secret.Text{}, err
	}
	if err := s.limits.Take(ctx, "device requests "+by.Origin.Network, deviceRequests); err != nil {
		return grant.Device{}, secret.Text{}, err
	}
	text, hash := grant.NewDeviceCode()
	now := s.clock.Now()
	d := grant.Device{
		Hash: hash, Given: grant.Given{Client: c.ID, Scope: r.Scope, Audience: audience},
		Address: by.Origin.Address, Agent: by.Origin.UserAgent, Created: now, Expires: now.Add(grant.DeviceLasts), Interval: grant.DeviceInterval,
	}
	for range 3 {
		d.UserCode = grant.NewUserCode()
		if err = s.store.CreateDevice(ctx, d); fault.KindOf(err) != fault.Conflict {
			break
		}
	}
	return d, text, err
}

// Waiting is a device that a person may let act.
type Waiting struct {
	grant.Device
	Asked Asked
}

// errNoDevice is the one answer to a user code that is good for nothing.
var errNoDevice = fault.New(fault.NotFound, "no device waits with this code")

// Waiting returns the device that waits with a code which a person typed who is signed
// in. Codes are few: so each that is wrong counts as a wrong password does, against him
// and his network, and all that are wrong together have a limit of their own (RFC 8628,
// Section 5.1). One that is right takes nothing back: he may have made it himself.
//
// Faults: NotFound, Limited.
func (s *Service) Waiting(ctx context.Context, by principal.Principal, code grant.UserCode) (Waiting, error) {
	if err := s.limits.Room(ctx, wrongCodes, s.options.UserCodes); err != nil {
		return Waiting{}, err
	}
	try, err := s.limits.Begin(ctx, limit.Attempt{Subject: "device code:" + by.ID, Network: by.Origin.Network})
	if err != nil {
		return Waiting{}, err
	}
	defer try.Abandon(context.WithoutCancel(ctx))
	w, err := s.waiting(ctx, code)
	if fault.KindOf(err) == fault.NotFound {
		return w, errors.Join(err, s.mistyped(context.WithoutCancel(ctx), by, try))
	}
	return w, err
}

const wrongCodes = "wrong device codes"

// mistyped counts and records a wrong code. Its own error is one of what counts.
func (s *Service) mistyped(ctx context.Context, by principal.Principal, try *limit.Try) error {
	v, lost := try.Failed(ctx)
	now := s.clock.Now()
	events := []audit.Event{audit.Now(by, now, audit.DeviceRefused, "device").Because(audit.Failure, "no-such-code")}
	if v.Flood {
		events = append(events, floods(now))
	}
	if err := s.limits.Take(ctx, wrongCodes, s.options.UserCodes); fault.KindOf(err) != fault.Limited {
		lost = errors.Join(lost, err)
	}
	return errors.Join(lost, s.store.Tell(ctx, events))
}

func (s *Service) waiting(ctx context.Context, code grant.UserCode) (Waiting, error) {
	d, err := s.store.DeviceByUserCode(ctx, code)
	if err == nil && (d.Decision != grant.Undecided || !d.Lives(s.clock.Now())) {
		return Waiting{}, errNoDevice
	} else if err != nil {
		return Waiting{}, err
	}
	w := Waiting{Device: d}
	w.Asked.Client, err = s.clients.Known(ctx, d.Client)
	if err == nil && (w.Asked.Client.Status != client.Active || !w.Asked.Client.May(oauth.DeviceCode)) {
		return Waiting{}, errNoDevice
	}
	w.Asked.Scope, w.Asked.Resource = d.Scope, []string{d.Audience}
	return w, err
}

// DecideDevice records what a person said to a device, in his session. What he has
// nothing of he cannot allow: the device is told that it was denied, and he that he could
// not, by an oauth.Error. The fault is NotFound if somebody said something before.
func (s *Service) DecideDevice(ctx context.Context, by principal.Principal, w Waiting, in session.Session, said grant.Decision) error {
	now, c := s.clock.Now(), w.Asked.Client
	d := w.Device
	d.Decision, d.User, d.Session, d.AMR, d.AuthTime = said, in.User, in.ID, in.AMR, in.AuthTime
	by.Kind, by.ID, by.Client, by.Session = principal.User, in.User, c.ID, in.ID
	denied := audit.Now(by, now, audit.ConsentDenied, c.Target()).With("grant", string(oauth.DeviceCode))
	if said != grant.Allowed {
		d.Decision = grant.Denied
		return s.store.DecideDevice(ctx, d, nil, denied.Because(audit.Failure, "denied"))
	}
	o, err := s.Offer(ctx, w.Asked, in.User)
	if _, nothing := errors.AsType[*oauth.Error](err); nothing {
		d.Decision = grant.Denied
		return errors.Join(err, s.store.DecideDevice(ctx, d, nil, denied.Because(audit.Denied, "lacks-permission")))
	} else if err != nil {
		return err
	}
	d.Scope = o.Scope
	agreed := grant.AgreedTo{User: in.User, Client: c.ID, Audience: o.Audience, Scope: o.Scope, As: as(c), At: now}
	return s.store.DecideDevice(ctx, d, &agreed, audit.Now(by, now, audit.ConsentGiven, c.Target()).
		With("scope", strings.Join(o.Scope, " ")).With("audience", o.Audience).With("grant", string(oauth.DeviceCode)))
}

// RedeemDevice gives a device the tokens that a person let it have. Until then it is told
// to wait (RFC 8628, Section 3.5). The device goes on when the browser is signed out in
// which it was allowed: they are two devices.
func (s *Service) RedeemDevice(ctx context.Context, by principal.Principal, c client.Client, code string) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	hash, ok := grant.ParseDeviceCode(code)
	if !ok {
		return Tokens{}, errCode
	}
	d, err := s.store.Device(ctx, hash)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return Tokens{}, errCode.Because(err)
	case err != nil:
		return Tokens{}, err
	case d.Client != c.ID:
		return Tokens{}, errCode.Because(errors.New("it is another client's"))
	case !d.Used.IsZero():
		return Tokens{}, errCode.Because(errors.New("it was used before"))
	case !d.Lives(s.clock.Now()):
		return Tokens{}, &oauth.Error{Code: oauth.ExpiredToken, Description: "nobody typed the code in time"}
	}
	patient, err := s.store.PollDevice(ctx, hash)
	switch {
	case err != nil:
		return Tokens{}, err
	case !patient:
		return Tokens{}, &oauth.Error{Code: oauth.SlowDown, Description: "ask 5 seconds less often"}
	case d.Decision == grant.Denied:
		return Tokens{}, &oauth.Error{Code: oauth.AccessDenied, Description: "the person refused"}
	case d.Decision != grant.Allowed:
		return Tokens{}, &oauth.Error{Code: oauth.AuthorizationPending, Description: "nobody has typed the code yet"}
	}
	by.Kind, by.ID, by.Client = principal.User, d.User, d.Client
	own := d.Given
	own.Session = ""
	e, err := s.earn(ctx, by, c, own, "")
	if err != nil {
		return Tokens{}, err
	}
	err = s.store.RedeemDevice(ctx, d, e.Family, e.Event)
	if kind := fault.KindOf(err); kind == fault.Unauthenticated || kind == fault.Conflict {
		return Tokens{}, errCode.Because(err)
	}
	return e.Tokens, err
}
