package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnviron(t *testing.T) {
	for _, r := range []struct{ variable, want string }{
		{"DOORWARD_CONFIG=x", ""},
		{"DOORWARD_ADMIN_PASSWORD=x", ""},
		{"DOORWARD_TEST_POSTGRES=x", ""},
		{"PATH=/bin", ""},
		{"doorward_isuer=x", ""},
		{"DOORWARD_HOSTS=auth.example.com, localhost", ""},
		{"DOORWARD_TRUSTED_PROXIES=", ""},
		{"DOORWARD_SERVICE_HOST=10.0.0.1", ""},
		{"DOORWARD_SERVICE_PORT=80", ""},
		{"DOORWARD_SERVICE_PORT_HTTP=80", ""},
		{"DOORWARD_PORT=tcp://10.0.0.1:80", ""},
		{"DOORWARD_PORT_80_TCP=tcp://10.0.0.1:80", ""},
		{"DOORWARD_PORT_80_TCP_ADDR=10.0.0.1", ""},
		{"DOORWARD_METRICS_SERVICE_HOST=10.0.0.1", ""},
		{"DOORWARD_METRICS_PORT=tcp://10.0.0.1:80", ""},

		{"DOORWARD_PORT=8080", "DOORWARD_PORT: unknown; did you mean DOORWARD_MAIL_PORT?"},
		{"DOORWARD_MAIL_PORT=tcp://10.0.0.1:80", "DOORWARD_MAIL_PORT: \"tcp://10.0.0.1:80\" is not a whole number"},
		{"DOORWARD_SERVICE=x", "DOORWARD_SERVICE: unknown"},
		{"DOORWARD_=x", "DOORWARD_: unknown; the manual"},
		{"DOORWARD_TEST=x", "DOORWARD_TEST: unknown"},
		{"DOORWARD_CONFIG_FILE=x", "DOORWARD_CONFIG_FILE: unknown"},
		{"DOORWARD_TOKNES_ACCESS_TTL=x", "DOORWARD_TOKNES_ACCESS_TTL: unknown; did you mean DOORWARD_TOKENS_ACCESS_TTL?"},
		{"DOORWARD_ACCESS_TTL=x", "DOORWARD_ACCESS_TTL: unknown; did you mean DOORWARD_TOKENS_ACCESS_TTL?"},
		{"DOORWARD_TOKENS__ACCESS_TTL=x", "DOORWARD_TOKENS__ACCESS_TTL: unknown; did you mean DOORWARD_TOKENS_ACCESS_TTL?"},
		{"DOORWARD_Issuer=x", "DOORWARD_Issuer: unknown; did you mean DOORWARD_ISSUER?"},
		{"DOORWARD_ISSUER_FILE=x", "DOORWARD_ISSUER_FILE: unknown; only a secret may be in a file of its own; use DOORWARD_ISSUER"},
		{"DOORWARD_MASTERKEY=x", "DOORWARD_MASTERKEY: unknown; did you mean DOORWARD_MASTER_KEY?"},
		{"DOORWARD_\x1b[31m=x", "\"DOORWARD_\\x1b[31m\": unknown"},
		{"DOORWARD_" + strings.Repeat("X", 1000) + "=x", "\"DOORWARD_XXX"},
		{"DOORWARD_LISTEN=", "DOORWARD_LISTEN: is empty"},
		{"DOORWARD_LISTEN", "DOORWARD_LISTEN: is empty"},
		{"DOORWARD_LISTEN=127.0.0.1:80\n", "DOORWARD_LISTEN: holds a line break"},
		{"DOORWARD_LISTEN=127.0.0.1:80\xff", "DOORWARD_LISTEN: is not UTF-8"},
		{"DOORWARD_LISTEN= 127.0.0.1:80", "DOORWARD_LISTEN: \" 127.0.0.1\" is not an IP"},
		{"DOORWARD_LOG_FORMAT=js\u202eon", "DOORWARD_LOG_FORMAT: holds a line break, a tab or another character that does not print"},
		{"DOORWARD_HOSTS=auth.example.com,,localhost", "DOORWARD_HOSTS: is empty"},
		{"DOORWARD_HOSTS=auth.example.com,", "DOORWARD_HOSTS: is empty"},
		{"DOORWARD_HOSTS=auth.example.com localhost", "DOORWARD_HOSTS: \"auth.example.com localhost\" is not a host name"},
		{"DOORWARD_LOG_FORMAT=" + strings.Repeat("a", 5000), "DOORWARD_LOG_FORMAT: is longer than 4096 bytes"},
	} {
		_, err := Read(Sources{Mode: Serve, Environ: safe(r.variable)})
		if r.want != "" {
			wants(t, err, r.want)
		} else if err != nil {
			t.Errorf("%s: %v", r.variable, err)
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const url = "postgres://ann:hunter2@db/x"
	for _, text := range []string{url, url + "\n", url + "\r\n"} {
		c, err := Read(Sources{Environ: []string{"DOORWARD_DATABASE_FILE=" + write("database", text)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Database.DSN.Reveal(); got != url {
			t.Errorf("database %q of %q", got, text)
		}
		if got := c.Values()[2]; got.Origin != "DOORWARD_DATABASE_FILE" || got.Text != "postgres://ann@db/x" {
			t.Errorf("doctor sees %+v", got)
		}
	}
	c, err := Read(Sources{Environ: []string{"DOORWARD_MASTER_KEY_FILE=keys/master.key"}})
	if err != nil || c.MasterKey.Path != "keys/master.key" {
		t.Errorf("master key %v, %v", c.MasterKey, err)
	}
	for _, r := range []struct {
		want string
		env  []string
	}{
		{"DOORWARD_DATABASE_FILE: is set, and DOORWARD_DATABASE too; keep one", []string{"DOORWARD_DATABASE_FILE=" + write("a", url), "DOORWARD_DATABASE=" + url}},
		{"DOORWARD_MASTER_KEY_FILE: is set, and DOORWARD_MASTER_KEY too; keep one", []string{"DOORWARD_MASTER_KEY_FILE=x", "DOORWARD_MASTER_KEY=" + key}},
		{"DOORWARD_DATABASE_FILE: names a file that cannot be opened: no such file", []string{"DOORWARD_DATABASE_FILE=" + dir + "/absent"}},
		{"DOORWARD_DATABASE_FILE: names a file that cannot be read", []string{"DOORWARD_DATABASE_FILE=" + dir}},
		{"DOORWARD_DATABASE_FILE: names a file that is longer than 64 KiB", []string{"DOORWARD_DATABASE_FILE=" + write("b", strings.Repeat("x", 70_000))}},
		{"DOORWARD_DATABASE_FILE: is empty", []string{"DOORWARD_DATABASE_FILE="}},
		{"DOORWARD_MASTER_KEY_FILE: is empty", []string{"DOORWARD_MASTER_KEY_FILE="}},
		{"DOORWARD_DATABASE_FILE: is empty", []string{"DOORWARD_DATABASE_FILE=" + write("c", "\n")}},
		{"DOORWARD_DATABASE_FILE: holds a line break", []string{"DOORWARD_DATABASE_FILE=" + write("d", url+"\n\n")}},
		{"DOORWARD_DATABASE_FILE: is not UTF-8", []string{"DOORWARD_DATABASE_FILE=" + write("e", url+"\xff")}},
		{"DOORWARD_DATABASE_FILE: holds a line break, a tab or another character that does not print", []string{"DOORWARD_DATABASE_FILE=" + write("f", "\ufeff"+url)}},
	} {
		_, err := Read(Sources{Environ: r.env})
		wants(t, err, r.want)
	}
}

func TestFlags(t *testing.T) {
	for _, r := range []struct {
		want  string
		flags map[string]string
	}{
		{"", map[string]string{"--listen": "[::1]:80", "--set tokens.access_ttl": "5m", "--set hosts": "a,b", "--database": "postgres://ann@db/x"}},
		{"", map[string]string{"--set master_key": "master.key"}},

		{"--set toknes.access_ttl: unknown; did you mean tokens.access_ttl?", map[string]string{"--set toknes.access_ttl": "5m"}},
		{"--set access_ttl: unknown; did you mean tokens.access_ttl?", map[string]string{"--set access_ttl": "5m"}},
		{"--set tokens: unknown", map[string]string{"--set tokens": "5m"}},
		{"--set : unknown", map[string]string{"--set ": "5m"}},
		{"--set listen: gives what --listen gives too; keep one", map[string]string{"--set listen": ":80", "--listen": ":81"}},
		{"--listen: is empty", map[string]string{"--listen": ""}},
		{"--database: holds a password, and every user of this machine can see", map[string]string{"--database": "postgres://ann:x@db/x"}},
		{"--database: holds a password", map[string]string{"--database": "postgresql://db/x?password=x"}},
		{"--set database: holds a password", map[string]string{"--set database": "postgres://ann:x@db/x"}},
		{"--set master_key: is a key, not the path", map[string]string{"--set master_key": key}},
		{"--set counters: holds a password", map[string]string{"--set counters": "redis://:x@db"}},
		{"--set mail.password: every user of this machine can see", map[string]string{"--set mail.password": "x"}},
	} {
		_, err := Read(Sources{Flags: r.flags})
		if r.want != "" {
			wants(t, err, r.want)
		} else if err != nil {
			t.Error(err)
		}
	}
	// Once they are served, their passwords are no arguments either.
	for _, name := range []string{"counters", "mail.password"} {
		c, m := Default(false), &mistakes{}
		c.places[name] = place{byFlag, "--set " + name, "--set " + name}
		c.Counters.password = true
		c.check(Command, m)
		if len(m.list) != 1 || !strings.HasPrefix(m.list[0].Error(), "--set "+name+": ") {
			t.Errorf("%s: %v", name, m.list)
		}
	}
	_, err := Read(Sources{Defaults: map[string]string{"databse": "x"}})
	wants(t, err, "default databse: unknown; did you mean database?")
}
