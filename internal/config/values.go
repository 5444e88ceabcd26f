package config

// Value is what holds for a setting, and who decided it.
type Value struct {
	Setting Setting
	Text    string // as a flag takes it, without secrets; empty for none
	Shown   string // Text without what only its reader knows to be a secret, like the path of a webhook
	Origin  string // "default", "doorward.yaml:12", "DOORWARD_LISTEN" or "--listen"
}

// Values lists what holds for every setting, in the order of the manual. A secret
// is "[secret]", and a database lacks its password.
func (c Config) Values() []Value {
	list := make([]Value, len(settings))
	for i, s := range settings {
		list[i] = Value{Setting: s, Text: s.form.get(&c), Origin: "default"}
		if list[i].Shown = list[i].Text; s.form.show != nil {
			list[i].Shown = s.form.show(&c)
		}
		if p, ok := c.places[s.Name]; ok {
			list[i].Origin = p.origin
		}
	}
	return list
}

// holds notes the file that g was read from, if it is a secret.
func (c *Config) holds(g given) {
	secret := g.setting.Secret
	switch g.setting.Name {
	case "master_key":
		return // what is read is its path
	case "database":
		secret = c.Database.password
	case "counters":
		secret = c.Counters.password
	}
	if secret && g.file != "" {
		c.secrets = union(c.secrets, g.file)
	}
}

// File returns the path of the configuration file; empty for none.
func (c Config) File() string { return c.file }

// SecretFiles lists the files that secrets were read from: the configuration, and
// those that the environment names. The master key's is not among them: Load looks
// at it.
func (c Config) SecretFiles() []string { return c.secrets }
