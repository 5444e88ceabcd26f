package config

import (
	"math"
	"strings"
	"testing"
)

func TestColours(t *testing.T) {
	white, black := Colour{255, 255, 255}, Colour{}
	for _, tt := range []struct {
		a, b Colour
		want float64
	}{{white, black, 21}, {white, white, 1}, {Colour{0x76, 0x76, 0x76}, white, 4.54}, {Colour{255, 0, 0}, white, 4.0}} {
		if got := tt.a.Contrast(tt.b); math.Abs(got-tt.want) > 0.005 || got != tt.b.Contrast(tt.a) {
			t.Errorf("%s on %s: %f, want %f", tt.a, tt.b, got, tt.want)
		}
	}
	for r := range 52 {
		for g := range 52 {
			for b := range 52 {
				if c := (Colour{uint8(5 * r), uint8(5 * g), uint8(5 * b)}); c.Contrast(c.Ink()) < readable {
					t.Fatalf("nothing can be read on %s", c)
				}
			}
		}
	}
}

// A theme that cannot be read is refused, with the two colours and what to do.
func TestThemes(t *testing.T) {
	for name, tt := range map[string]struct {
		set  map[string]string
		want string // part of the mistake; empty for none
	}{
		"as it comes":              {nil, ""},
		"blue":                     {map[string]string{"ACCENT": "#005a9c", "ACCENT_DARK": "#8cf", "NAME": "Acme & Söhne", "RADIUS": "0"}, ""},
		"capitals":                 {map[string]string{"ACCENT": "#00529F"}, ""},
		"pale links":               {map[string]string{"ACCENT": "#ffcc00"}, "#ffcc00 cannot be read on #fbfaf7: their contrast is 1.4, and links need 4.5; take a darker one"},
		"links too dark at night":  {map[string]string{"ACCENT_DARK": "#005a9c"}, "#005a9c cannot be read on #16181c"},
		"links lost on their card": {map[string]string{"ACCENT": "#7d7d7d", "BACKGROUND": "#fff"}, "links need 4.5"},
		"a dark light":             {map[string]string{"BACKGROUND": "#333"}, "#333333 is too near to the colour of small print"},
		"a word":                   {map[string]string{"ACCENT": "tomato"}, `tomato is not a colour: # and six hexadecimal digits, or three, like #7a4b12`},
		"CSS of his own":           {map[string]string{"ACCENT": "#000;}*{display:none"}, "is not a colour"},
		"no name":                  {map[string]string{"NAME": " "}, "is not a line of 1 to 40 characters"},
		"a long name":              {map[string]string{"NAME": strings.Repeat("x", 41)}, "is not a line of 1 to 40 characters"},
		"a name of two lines":      {map[string]string{"NAME": "a\u2028b"}, "does not print"},
		"round":                    {map[string]string{"RADIUS": "25"}, "is out of bounds"},
	} {
		var environ []string
		for key, value := range tt.set {
			environ = append(environ, "DOORWARD_THEME_"+key+"="+value)
		}
		_, err := Read(Sources{Environ: environ})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
