package storetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/store"
)

// Letters is the contract of outbox.Store, where time stands still.
func Letters(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "reader"))
	data := map[string]string{"address": "192.0.2.1", "user_agent": "\x00 <b>\u202e", "until": ""}
	letters := []outbox.Letter{
		outbox.New(u.ID, outbox.AccountLocked, instant, data),
		outbox.New(u.ID, outbox.DeviceNew, instant.Add(-time.Hour), nil),
		outbox.New("nobody", outbox.PasswordChanged, instant, map[string]string{}),
	}
	Want(t, "posting", s.Post(t.Context(), letters...), 0)
	if claims := claim(t, s, 1); len(claims) != 1 {
		t.Errorf("one was asked for: %+v", claims)
	} else {
		Want(t, "giving back", s.PostponeLetter(t.Context(), claims[0], instant), 0)
	}
	claims := claim(t, s, 10)
	if len(claims) != 3 {
		t.Fatalf("claimed: %+v", claims)
	}
	for _, c := range claims {
		i := slices.IndexFunc(letters, func(l outbox.Letter) bool { return l.ID == c.ID })
		if i < 0 || c.User != letters[i].User || c.Kind != letters[i].Kind || !c.At.Equal(letters[i].At) || !maps.Equal(c.Data, letters[i].Data) {
			t.Errorf("claimed: %+v", c)
		}
	}
	if again := claim(t, s, 10); len(again) != 0 {
		t.Errorf("claimed twice: %+v", again)
	}
	if n, err := s.DropLetters(t.Context()); n != 0 || err != nil {
		t.Errorf("dropped: %d letters that somebody has, %v", n, err)
	}
	postponing(t, s, claims)
	Want(t, "deleting", s.DeleteLetter(t.Context(), claims[1].ID), 0)
	Want(t, "deleting again", s.DeleteLetter(t.Context(), claims[1].ID), 0)
	if n, err := s.DropLetters(t.Context()); n != 1 || err != nil {
		t.Errorf("dropped: %d, %v", n, err)
	}
	if n := w.Number(t, "SELECT COUNT(*) FROM outbox"); n != 1 {
		t.Errorf("%d letters are left", n)
	}
}

func claim(t *testing.T, s *store.Store, n int) []outbox.Claim {
	t.Helper()
	claims, err := s.ClaimLetters(t.Context(), outbox.Mails, n, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// postponing gives the first of the claims back. Whoever had it before the
// present one has no say.
func postponing(t *testing.T, s *store.Store, claims []outbox.Claim) {
	t.Helper()
	old := claims[0]
	Want(t, "postponing", s.PostponeLetter(t.Context(), claims[0], instant), 0)
	again := claim(t, s, 10)
	if len(again) != 1 || again[0].ID != old.ID || again[0].Try != old.Try+1 {
		t.Fatalf("after it was given back: %+v", again)
	}
	Want(t, "postponing by the one before", s.PostponeLetter(t.Context(), old, instant), 0)
	if stolen := claim(t, s, 10); len(stolen) != 0 {
		t.Errorf("a claim that had ended gave it back: %+v", stolen)
	}
	Want(t, "postponing", s.PostponeLetter(t.Context(), again[0], instant), 0)
}

// Recipients is the contract of where letters go, and of dev's inbox.
func Recipients(t *testing.T, s *store.Store, w *Witness) {
	email, err := account.ParseEmail("Größe@Bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	p := person(t, "reader")
	p.Email, p.EmailVerified = email, true
	u := create(t, s, p)
	want := outbox.Recipient{Username: "reader", Address: "Größe@xn--bcher-kva.example", Proved: true}
	if r, err := s.Recipient(t.Context(), u.ID); err != nil || r != want {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
	for _, bad := range []string{"", "nobody", "\x00", "\xff"} {
		_, err := s.Recipient(t.Context(), bad)
		Want(t, "a recipient who is not there", err, fault.NotFound)
	}
	u.Email, u.EmailVerified = account.Email{}, false
	if u, err = s.UpdateUser(t.Context(), Operator, u, event(audit.UserUpdated, u.Target())); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Recipient(t.Context(), u.ID); err != nil || r.Address != "" || r.Proved {
		t.Errorf("without an address: %+v, %v", r, err)
	}
	m := outbox.Mail{ID: "letter", User: u.ID, To: "a@b.example", Subject: "s", Text: "t\n", HTML: "<p>", At: instant}
	other := outbox.Mail{ID: "other", User: "other", To: "c@d.example", Subject: "s", Text: "t", HTML: "<p>", At: instant.Add(time.Second)}
	for _, m := range []outbox.Mail{m, other, m} {
		Want(t, "keeping", s.KeepMail(t.Context(), m), 0)
	}
	if list, err := s.ListMail(t.Context(), 10); err != nil || !slices.Equal(list, []outbox.Mail{other, m}) {
		t.Errorf("the inbox is %+v, %v", list, err)
	}
	if got, err := s.KeptMail(t.Context(), "letter"); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = s.KeptMail(t.Context(), "none")
	Want(t, "a letter that is not there", err, fault.NotFound)
	// Whose traces are erased is not told of them either.
	Want(t, "posting", s.Post(t.Context(), outbox.New(u.ID, outbox.DeviceNew, instant, nil)), 0)
	Want(t, "erasing", s.Erase(t.Context(), Operator, u.ID), 0)
	if a, b := w.Number(t, "SELECT COUNT(*) FROM outbox"), w.Number(t, "SELECT COUNT(*) FROM inbox"); a != 0 || b != 1 {
		t.Errorf("after erasing, %d letters and %d mails are left", a, b)
	}
	Want(t, "keeping", s.KeepMail(t.Context(), m), 0)
	// Who is deleted is told nothing, and nothing is kept of what he was told.
	Want(t, "posting", s.Post(t.Context(), outbox.New(u.ID, outbox.DeviceNew, instant, nil), outbox.New("other", outbox.DeviceNew, instant, nil)), 0)
	Want(t, "deleting", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), 0)
	if a, b := w.Number(t, "SELECT COUNT(*) FROM outbox"), w.Number(t, "SELECT COUNT(*) FROM inbox"); a != 1 || b != 1 {
		t.Errorf("%d letters and %d mails are left, want the other's alone", a, b)
	}
}
