package config

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

const introduction = `# Configuration

<!-- Made from the table in internal/config/table.go by: go test ./internal/config -run Reference -update -->

Doorward reads one YAML file, the environment and its flags. Flags win over the
environment, the environment over the file, and the file over the defaults.

` + "```yaml" + `
issuer: https://auth.example.com
listen: 0.0.0.0:443
database: postgres://doorward@db.example.com/doorward?sslmode=verify-full
master_key: /run/secrets/doorward-master-key
tls:
  cert: /etc/doorward/cert.pem
  key: /etc/doorward/key.pem
tokens:
  access_ttl: 10m
` + "```" + `

- **In the file** the part of a name before the dot is a section. Lists are YAML
  sequences. The file is one document of at most 1 MiB, in UTF-8; anchors,
  aliases and tags are refused. ` + "`doorward init`" + ` writes one with every
  setting in it.
- **In the environment** ` + "`tokens.access_ttl` is `DOORWARD_TOKENS_ACCESS_TTL`" + `.
  Lists have commas. For a secret, the name with ` + "`_FILE`" + ` at its end gives the
  path of a file that holds the value.
- **As flags** some settings have their own, like ` + "`--listen`" + `. Every one has
  ` + "`--set tokens.access_ttl=10m`" + `. Lists have commas. Passwords are refused.
- **Durations** are like ` + "`30s`, `15m`, `1h30m`" + `; days are written in hours.

An unknown name, a value that is not allowed, or a broken rule stops the start.
All mistakes are told at once, each with its place and what to write instead.
`

// WriteReference writes the manual page of every setting, in Markdown.
func WriteReference(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(introduction)
	b.WriteString("\n## Settings\n")
	for _, s := range settings {
		if !s.Reserved {
			describe(&b, s)
		}
	}
	b.WriteString("\n## Rules\n\n")
	for _, r := range slices.Concat(rules, themeRules) {
		if r.says != "" {
			fmt.Fprintf(&b, "- %s\n", r.says)
		}
	}
	b.WriteString("\n## Other variables\n\n")
	for _, o := range others {
		fmt.Fprintf(&b, "- `%s`: %s.\n", o.name, o.meaning)
	}
	b.WriteString("- The variables that Kubernetes makes for a service whose name begins with\n  `doorward` (`DOORWARD_SERVICE_HOST`, `DOORWARD_PORT` and so on) are ignored.\n  Every other name that begins with `DOORWARD_` is a mistake.\n")
	b.WriteString("\n## Reserved\n\nNo part of this version heeds these. Giving one another value than its default\nstops the start, so that nobody relies on what is not there.\n")
	for _, s := range settings {
		if s.Reserved {
			describe(&b, s)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func describe(b *bytes.Buffer, s Setting) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s\n\n", s.Name, s.Help)
	fmt.Fprintf(b, "- Allowed: %s\n", s.Allowed())
	if s.Default != "" {
		fmt.Fprintf(b, "- Default: `%s`\n", s.Default)
	} else {
		fmt.Fprintf(b, "- Default: %s\n", strings.TrimSuffix(s.Unset, "."))
	}
	fmt.Fprintf(b, "- Environment: %s\n", s.variables("`"))
}
