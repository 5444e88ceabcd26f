package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/need"
)

// peer is a server that others wrote, and how its own folder makes a program of it.
type peer struct {
	name    string
	folder  string // in bench/peers
	keeps   string // where it keeps what it must
	access  string // what its access tokens are
	service registered
	app     registered // which introspects, too
	scope   string     // that an application gets a refresh token with
	install func(ctx context.Context, from, to string) (program []string, version string, err error)
}

// peers are what -peers measures beside Doorward: of two languages, whatever they do with
// nothing on disk, which is their best.
var peers = []peer{
	{
		name: "node oidc-provider", folder: "node", keeps: "in memory, the last 1,000 things", access: "JWT for services, opaque for people",
		service: known("service", "secret-of-the-service"), app: known("app", "secret-of-the-app"), scope: "openid", install: installNode,
	},
	{
		name: "zitadel/oidc, its example's storage", folder: "zitadel", keeps: "in memory, without end", access: "JWT",
		service: known("sid1", "verysecret"), app: known("app", "secret-of-the-app"), scope: "openid offline_access", install: installGo,
	},
}

func known(id, secret string) registered { return registered{id, basic(id, secret)} }

// rival is a peer that runs here.
type rival struct {
	process
	peer
	addr    string
	version string
}

// setUpPeers makes a program of every peer. One that cannot be had is an error: a table
// without it would look as if nobody had asked.
func (b *bench) setUpPeers(ctx context.Context) error {
	if !b.peers {
		return nil
	}
	for _, p := range b.rivalry {
		b.say("%s: installing", p.name)
		dir := filepath.Join(b.dir, "peer-"+p.folder)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		program, version, err := p.install(ctx, filepath.Join(b.root, "bench", "peers", p.folder), dir)
		if err != nil {
			return fmt.Errorf("installing %s: %w", p.name, err)
		}
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		b.rivals = append(b.rivals, &rival{peer: p, addr: addr, version: version, process: process{
			name: p.name, log: filepath.Join(dir, "server.log"), ready: "http://" + addr + discovery, make: func() *exec.Cmd {
				cmd := exec.Command(program[0], program[1:]...)
				cmd.Dir, cmd.Env = dir, append(environment(), "PEER_LISTEN="+addr, "PEER_ISSUER=http://"+addr, "NODE_ENV=production")
				return cmd
			},
		}})
	}
	return nil
}

// installNode installs what a folder's package-lock.json lists.
func installNode(ctx context.Context, from, to string) (program []string, version string, err error) {
	npm, err := need.Program(ctx, "npm", "nodejs", "npm")
	if err != nil {
		return nil, "", err
	}
	node, err := need.Program(ctx, "node", "nodejs", "npm")
	if err != nil {
		return nil, "", err
	}
	for _, name := range []string{"package.json", "package-lock.json", "server.mjs"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return nil, "", err
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			return nil, "", err
		}
	}
	if _, err := output(ctx, to, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return nil, "", err
	}
	// Node has been asked for the version of what it will run, and for its own.
	version, err = output(ctx, to, node, "-p", "require('oidc-provider/package.json').version + ', Node.js ' + process.versions.node")
	return []string{node, "server.mjs"}, version, err
}

// installGo builds the module of a folder, whose dependencies are its own.
func installGo(ctx context.Context, from, to string) (program []string, version string, err error) {
	binary := filepath.Join(to, "server")
	if _, err := output(ctx, from, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "."); err != nil {
		return nil, "", err
	}
	version, err = output(ctx, from, "go", "list", "-m", "-f", "{{.Version}}", "github.com/zitadel/oidc/v3")
	return []string{binary}, version, err
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(slices.Concat([]string{filepath.Base(name)}, args), " "), err, out, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}
