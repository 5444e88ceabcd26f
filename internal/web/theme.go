package web

// Theme is how the pages of this site look, as far as whoever runs it chose that. A page
// that heeds it links /theme/style.css if it is Styled, and shows /theme/logo if there is
// one.
type Theme struct {
	Name   string // of the product
	Styled bool   // otherwise than as it comes
	Logo   bool
}
