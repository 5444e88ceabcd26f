package config

// Value is what holds for a setting, and who decided it.
type Value struct {
	Setting Setting
	Text    string // as a flag takes it, without secrets; empty for none
	Origin  string // "default", "doorward.yaml:12", "DOORWARD_LISTEN" or "--listen"
}

// Values lists what holds for every setting, in the order of the manual. It is
// fit to be shown: a secret is "[secret]", and a database lacks its password.
func (c Config) Values() []Value {
	list := make([]Value, len(settings))
	for i, s := range settings {
		list[i] = Value{Setting: s, Text: s.form.get(&c), Origin: "default"}
		if p, ok := c.places[s.Name]; ok {
			list[i].Origin = p.origin
		}
	}
	return list
}
