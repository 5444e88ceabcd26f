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
