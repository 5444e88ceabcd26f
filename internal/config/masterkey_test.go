package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/strictyaml"
)

func TestMasterKeyLoad(t *testing.T) {
	dir := t.TempDir()
	root := os.Getuid() == 0
	const stranger = 65534
	for _, r := range []struct {
		name  string
		mode  os.FileMode
		owner int // -1: whoever runs the test
		text  string
		want  string // a part of the error, or empty
	}{
		{"own", 0o600, -1, key, ""},
		{"read only", 0o400, -1, key + "\n", ""},
		{"comments", 0o600, -1, "# new\n" + key + "\n# old\n" + key + "\n", ""},
		{"group's, of root", 0o440, 0, key, ""},

		{"everybody's to read", 0o604, -1, key, "can be read or written by everybody"},
		{"usual", 0o644, -1, key, "can be read or written by everybody"},
		{"everybody's to write", 0o602, -1, key, "can be read or written by everybody"},
		{"group's to write", 0o620, -1, key, "can be written by its group"},
		{"group's to write, of root", 0o660, 0, key, "can be written by its group"},
		{"group's", 0o640, stranger, key, "can be read by its group and is not root's"},
		{"endless", 0o600, -1, strings.Repeat("#", 70_000), "is longer than 64 KiB"},
	} {
		t.Run(r.name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(r.name, " ", "-"))
			if err := os.WriteFile(path, []byte(r.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if r.owner >= 0 && os.Chown(path, r.owner, 0) != nil {
				if root || r.owner == 0 {
					t.Skip("the file cannot be given away")
				} // else it is this user's, and he is not root
			}
			if err := os.Chmod(path, r.mode); err != nil {
				t.Fatal(err)
			}
			text, err := MasterKey{Path: path}.Load()
			if r.want != "" {
				if err == nil || !strings.Contains(err.Error(), r.want) {
					t.Errorf("error %v; want %q", err, r.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := text.Reveal(); got != strings.TrimSuffix(r.text, "\n") {
				t.Errorf("read %q of %q", got, r.text)
			}
			if _, err := secret.ParseSealer(text); err != nil {
				t.Error(err)
			}
		})
	}
	for _, path := range []string{dir, filepath.Join(dir, "absent")} {
		if _, err := (MasterKey{Path: path}).Load(); err == nil {
			t.Errorf("%s was read", path)
		}
	}
	if text, err := (MasterKey{Text: secret.From(key)}).Load(); err != nil || text.Reveal() != key {
		t.Errorf("the key itself: %v", err)
	}
	if text, err := (MasterKey{}).Load(); err != nil || !text.IsZero() {
		t.Errorf("no key: %v", err)
	}
}

func TestNearest(t *testing.T) {
	known := append(settingNames(), sections()...)
	for word, want := range map[string]string{
		"toknes": "tokens", "acess_ttl": "tokens.access_ttl", "min_length": "passwords.min_length", "idle": "sessions.idle", "trusted-proxies": "trusted_proxies",
		"x": "", "": "", "banana": "", strings.Repeat("tokens", 20): "",
	} {
		if got := strictyaml.Nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q; want %q", word, got, want)
		}
	}
}
