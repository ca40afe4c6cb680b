package formats

import (
	"testing"
	"time"
)

func TestDateLayout_ReadsWhatIsInItAndInTheCalendar(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ layout, text, want string }{
		{"YYYY-MM-DD", "2024-02-29", "2024-02-29 00:00:00"},
		{"YYYYMMDD", "20240229", "2024-02-29 00:00:00"},
		{"DD.MM.YY", "01.02.69", "2069-02-01 00:00:00"},
		{"DD.MM.YY", "01.02.70", "1970-02-01 00:00:00"},
		{"M/D/YYYY H:mm", "1/2/2024 9:05", "2024-01-02 09:05:00"},
		{"M/D/YYYY H:mm", "11/12/2024 19:05", "2024-11-12 19:05:00"},
		{"YYYY-MM-DDTHH:mm:ssZ", "2024-12-31T23:59:59Z", "2024-12-31 23:59:59"},
		{"YYYY-MM-DD", "2023-02-29", ""},
		{"YYYY-MM-DD", "0000-01-01", ""},
		{"YYYY-MM-DD", "2024-13-01", ""},
		{"YYYY-MM-DD", "2024-00-01", ""},
		{"YYYY-MM-DD", "2024-01-00", ""},
		{"YYYY-MM-DD", "2024-1-1", ""},
		{"YYYY-MM-DD", "2024-01-01 ", ""},
		{"YYYY-MM-DD", " 2024-01-01", ""},
		{"YYYY-MM-DD", "2024-01-", ""},
		{"YYYY-MM-DD", "", ""},
		{"M/D/YYYY H:mm", "1/2/2024 24:00", ""},
		{"M/D/YYYY H:mm", "1/2/2024 9:60", ""},
		{"YYYY-MM-DD HH:mm:ss", "2024-01-01 00:00:60", ""},
	} {
		layout, err := parseDateLayout(test.layout)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if date, valid := layout.parse(test.text); valid {
			got = date.Format(time.DateTime)
		}
		if got != test.want {
			t.Errorf("%q in %q is %q, want %q", test.text, test.layout, got, test.want)
		}
	}
}
