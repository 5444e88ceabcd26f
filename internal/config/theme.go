package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Theme is how the pages look.
type Theme struct {
	Name                       string // of the product, as people know it
	Logo                       string // the path of a picture; empty for Doorward's own sign
	Accent, AccentDark         Colour // of buttons and links, in the light and in the dark
	Background, BackgroundDark Colour
	Radius                     int // of corners, in pixels
}

// Colour is one of sRGB.
type Colour struct{ R, G, B uint8 }

// What the pages write and draw with besides, which a theme does not change.
var (
	softInk     = Colour{0x5b, 0x61, 0x6b}
	softInkDark = Colour{0xa3, 0xa8, 0xb0}
	card        = Colour{0xff, 0xff, 0xff}
	cardDark    = Colour{0x1d, 0x20, 0x25}
)

// String returns the colour as CSS writes it.
func (c Colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// luminance is how bright a colour is to the eye (Web Content Accessibility Guidelines 2.2,
// relative luminance).
func (c Colour) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast is that of two colours: 1 for none, 21 for black and white.
func (c Colour) Contrast(o Colour) float64 {
	a, b := c.luminance(), o.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// readable is the least contrast of text (Web Content Accessibility Guidelines 2.2, Success
// Criterion 1.4.3).
const readable = 4.5

// Ink returns the colour of text on c, black or white. One of them can always be read.
func (c Colour) Ink() Colour {
	white, black := Colour{0xff, 0xff, 0xff}, Colour{}
	if c.Contrast(white) >= readable {
		return white
	}
	return black
}

var colours = regexp.MustCompile(`^#([0-9a-f]{3}|[0-9a-f]{6})$`)

func colour(field func(*Config) *Colour) form {
	const allowed = "a colour: # and six hexadecimal digits, or three"
	return one(allowed, field, func(s string) (Colour, error) {
		digits := strings.ToLower(s)
		if !colours.MatchString(digits) {
			return Colour{}, fmt.Errorf("%s is not %s, like #7a4b12", quote(s), allowed)
		}
		if digits = digits[1:]; len(digits) == 3 {
			digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
		}
		n, err := strconv.ParseUint(digits, 16, 24)
		return Colour{uint8(n >> 16), uint8(n >> 8 & 0xff), uint8(n & 0xff)}, err
	}, Colour.String)
}

// mostTitle is how long a product's name may be, in characters.
const mostTitle = 40

func title(field func(*Config) *string) form {
	allowed := fmt.Sprintf("a line of 1 to %d characters", mostTitle)
	return one(allowed, field, func(s string) (string, error) {
		other := func(r rune) bool { return !unicode.IsPrint(r) }
		if n := utf8.RuneCountInString(s); n == 0 || n > mostTitle || !utf8.ValidString(s) || strings.ContainsFunc(s, other) || strings.TrimSpace(s) != s {
			return "", fmt.Errorf("%s is not %s", quote(s), allowed)
		}
		return s, nil
	}, same)
}

// legible is the rule that a theme can be read: links in its accent on its background and on
// cards, and our small print on its background.
func legible(accent, background, says string, of func(Theme) (accent, background, card, ink Colour)) []rule {
	return []rule{
		{[]string{background}, says, func(c *Config, _ Mode) string {
			_, paper, _, ink := of(c.Theme)
			if got := paper.Contrast(ink); got < readable {
				return fmt.Sprintf("%s is too near to the colour of small print, %s: their contrast is %.1f, and %.1f is needed to read it; take a lighter one for the light, or a darker one for the dark", paper, ink, got, readable)
			}
			return ""
		}},
		{[]string{accent, background}, "", func(c *Config, _ Mode) string {
			mark, paper, card, _ := of(c.Theme)
			for _, on := range []Colour{paper, card} {
				if got := mark.Contrast(on); got < readable {
					return fmt.Sprintf("%s cannot be read on %s: their contrast is %.1f, and links need %.1f; take a darker one for the light, or a lighter one for the dark", mark, on, got, readable)
				}
			}
			return ""
		}},
	}
}

var themeRules = append(
	legible("theme.accent", "theme.background", "The accent of a theme stands out from its background, and text from both: a contrast of 4.5 (WCAG 2.2).", func(t Theme) (_, _, _, _ Colour) {
		return t.Accent, t.Background, card, softInk
	}),
	legible("theme.accent_dark", "theme.background_dark", "", func(t Theme) (_, _, _, _ Colour) {
		return t.AccentDark, t.BackgroundDark, cardDark, softInkDark
	})...,
)
