package formats

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A dateLayout is how a file writes dates: "DD.MM.YYYY", "YYYY-MM-DD HH:mm:ss". The tokens are YYYY or YY, MM or M, DD or D,
// HH or H, mm and ss; M, D and H take one digit or two. T, Z, spaces and punctuation stand for themselves. Of two digits, a
// year from 70 on is in the 20th century.
type dateLayout []datePart

// A datePart is a token, or a byte that stands for itself.
type datePart struct {
	unit     dateUnit
	min, max int // how many digits it has
	literal  byte
}

// dateUnit is what the digits of a token count.
type dateUnit uint8

const (
	dateLiteral dateUnit = iota
	dateYear
	dateMonth
	dateDay
	dateHour
	dateMinute
	dateSecond
	dateUnits
)

// dateTokens are the tokens, a longer one before what it begins with.
var dateTokens = []struct {
	text string
	part datePart
}{
	{"YYYY", datePart{unit: dateYear, min: 4, max: 4}},
	{"YY", datePart{unit: dateYear, min: 2, max: 2}},
	{"MM", datePart{unit: dateMonth, min: 2, max: 2}},
	{"M", datePart{unit: dateMonth, min: 1, max: 2}},
	{"DD", datePart{unit: dateDay, min: 2, max: 2}},
	{"D", datePart{unit: dateDay, min: 1, max: 2}},
	{"HH", datePart{unit: dateHour, min: 2, max: 2}},
	{"H", datePart{unit: dateHour, min: 1, max: 2}},
	{"mm", datePart{unit: dateMinute, min: 2, max: 2}},
	{"ss", datePart{unit: dateSecond, min: 2, max: 2}},
}

// parseDateLayout reads a layout.
func parseDateLayout(text string) (dateLayout, error) {
	var layout dateLayout
	var seen [dateUnits]bool
	for rest := text; rest != ""; {
		part := datePart{literal: rest[0]}
		width := 1
		for _, token := range dateTokens {
			if strings.HasPrefix(rest, token.text) {
				part, width = token.part, len(token.text)
				break
			}
		}
		switch {
		case part.unit == dateLiteral && !strings.ContainsRune(" -./:,_TZ", rune(part.literal)):
			return nil, fmt.Errorf("%q has %q, which is none of YYYY YY MM M DD D HH H mm ss and the marks between them", text, rest)
		case part.unit != dateLiteral && seen[part.unit]:
			return nil, fmt.Errorf("%q has %s twice", text, rest[:width])
		}
		seen[part.unit] = true
		layout = append(layout, part)
		rest = rest[width:]
	}
	if !seen[dateYear] || !seen[dateMonth] || !seen[dateDay] {
		return nil, fmt.Errorf("%q lacks the year, the month or the day", text)
	}
	return layout, nil
}

// mustDateLayout is parseDateLayout for a layout that is part of a format.
func mustDateLayout(text string) dateLayout {
	layout, err := parseDateLayout(text)
	if err != nil {
		panic(err)
	}
	return layout
}

// errNoDate says that a text is no date.
var errNoDate = errors.New("is no date")

// parse reads a date, in UTC; false for what is not in the layout or not in the calendar.
func (l dateLayout) parse(text string) (time.Time, bool) {
	var units [dateUnits]int
	for _, part := range l {
		if part.unit == dateLiteral {
			if text == "" || text[0] != part.literal {
				return time.Time{}, false
			}
			text = text[1:]
			continue
		}
		n, value := 0, 0
		for n < part.max && n < len(text) && text[n]-'0' <= 9 {
			value = value*10 + int(text[n]-'0')
			n++
		}
		if n < part.min {
			return time.Time{}, false
		}
		if part.unit == dateYear && part.max == 2 {
			value += 1900
			if value < 1970 {
				value += 100
			}
		}
		units[part.unit], text = value, text[n:]
	}
	year, month, day := units[dateYear], time.Month(units[dateMonth]), units[dateDay]
	t := time.Date(year, month, day, units[dateHour], units[dateMinute], units[dateSecond], 0, time.UTC)
	// A day that the month does not have would be one of the next month.
	valid := text == "" && year > 0 && month >= 1 && month <= 12 && day >= 1 && t.Day() == day &&
		units[dateHour] < 24 && units[dateMinute] < 60 && units[dateSecond] < 60
	return t, valid
}

// midnight is the day of a time.
func midnight(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }
