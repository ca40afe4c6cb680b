package telemetry

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/tieout/tieout/pkg/redact"
)

// cleanRecord is r without what must not be kept.
func cleanRecord(r slog.Record) slog.Record {
	clean := slog.NewRecord(r.Time, r.Level, redact.Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(cleanAttr(a))
		return true
	})
	return clean
}

func cleanAttrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = cleanAttr(a)
	}
	return clean
}

func cleanAttr(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	if redact.IsSecretName(a.Key) && a.Value.Kind() != slog.KindGroup && a.Value.Kind() != slog.KindBool {
		return slog.String(a.Key, redact.Secret)
	}
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(redact.Text(v.String()))
	case slog.KindInt64:
		if n := v.Int64(); n > 0 && redact.IsCardNumber(uint64(n)) {
			a.Value = slog.StringValue(redact.Card)
		}
	case slog.KindUint64:
		if redact.IsCardNumber(v.Uint64()) {
			a.Value = slog.StringValue(redact.Card)
		}
	case slog.KindGroup:
		a.Value = slog.GroupValue(cleanAttrs(v.Group())...)
	case slog.KindAny:
		a.Value = cleanAny(v)
	}
	return a
}

// cleanAny makes a text of an error, and of anything else what JSON makes of it: its hidden fields are nobody's business.
func cleanAny(v slog.Value) slog.Value {
	switch value := v.Any().(type) {
	case nil:
		return v
	case error:
		return slog.StringValue(redact.Text(fmt.Sprint(value)))
	case []string:
		clean := make([]string, len(value))
		for i, text := range value {
			clean[i] = redact.Text(text)
		}
		return slog.AnyValue(clean)
	}
	raw, err := json.Marshal(v.Any())
	if err != nil {
		return slog.StringValue(redact.Text(fmt.Sprint(v.Any())))
	}
	clean := redact.Text(string(raw))
	var plain any
	if json.Unmarshal([]byte(clean), &plain) != nil {
		return slog.StringValue(clean)
	}
	return slog.AnyValue(plain)
}
