package orchestrator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// known is what filters and loads are given.
var known = map[definitionKey]saga.Definition{keyOf(orderV1): orderV1, keyOf(orderV2): orderV2}

// zoo is a saga of each kind, by a name that tests call it by.
func zoo() map[string]planted {
	return map[string]planted{
		"fresh":    {},
		"waiting":  {def: orderV1, happened: unknownCharge, age: time.Minute, customer: "17850"},
		"back":     {happened: turnedBack, total: money.Amount{Currency: "JPY", Minor: 900}},
		"parked":   {happened: parkedShip, atRisk: true, age: time.Hour, total: money.Amount{Currency: "KWD", Minor: 1500}},
		"denied":   {happened: parkedDenied, customer: `o'hara "x" \`},
		"paused":   {happened: paused},
		"done":     {happened: completed, age: 48 * time.Hour},
		"unproven": {happened: parkedShip, total: money.Amount{Currency: "GBP", Minor: 1}},
	}
}

// plantZoo plants the zoo, and gives what each saga is called.
func plantZoo(t *testing.T, db *pgxpool.Pool) map[SagaID]string {
	t.Helper()
	names := map[SagaID]string{}
	for name, p := range zoo() {
		names[plant(t, db, p)[0].sagaID] = name
	}
	return names
}

// found gives the names of the sagas that a filter holds for.
func found(t *testing.T, o *orchestrator, text string, names map[SagaID]string) string {
	t.Helper()
	f, err := parseFilter(text, known)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return ""
	}
	listed, err := o.listSagas(t.Context(), f, SagaID(uuid.Max), 100)
	if err != nil {
		t.Errorf("%s: %v\n%s", text, err, f.Where)
	}
	var got []string
	for _, l := range listed {
		got = append(got, names[l.id])
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

// everything is the whole zoo.
const everything = "back denied done fresh parked paused unproven waiting"

// finds says which sagas of the zoo filters hold for. ORDER is the order of the saga that is done, THEN half an hour ago.
var finds = map[string]string{
	"":                                     everything,
	"  ":                                   everything,
	"phase = parked":                       "denied parked unproven",
	"phase=PARKED":                         "denied parked unproven",
	`phase = "SAGA_PHASE_PARKED"`:          "denied parked unproven",
	"phase != parked":                      "back done fresh paused waiting",
	"phase = running":                      "fresh paused waiting",
	"phase = compensating":                 "back",
	"phase = completed":                    "done",
	"phase = compensated":                  "",
	"parked = true":                        "denied parked unproven",
	"parked = false":                       "back done fresh paused waiting",
	"parked != true":                       "back done fresh paused waiting",
	"paused = true":                        "paused",
	"NOT paused = true":                    "back denied done fresh parked unproven waiting",
	"-paused = true":                       "back denied done fresh parked unproven waiting",
	"at_risk = true":                       "parked",
	"at_risk != false":                     "parked",
	"definition = order":                   everything,
	"definition != order":                  "",
	`definition : "ORD"`:                   everything,
	"version = 1":                          "waiting",
	"version != 1":                         "back denied done fresh parked paused unproven",
	"version > 1":                          "back denied done fresh parked paused unproven",
	"version >= 1":                         everything,
	"version < 2":                          "waiting",
	"version <= 0":                         "",
	"version > -5":                         everything,
	"version = 0x1":                        "waiting",
	"step = ship":                          "parked unproven",
	`step = ""`:                            "done",
	"step:shi":                             "parked unproven",
	"step != ship":                         "back denied done fresh paused waiting",
	`cause = "ship stays unknown"`:         "parked unproven",
	`cause : "PERMISSION"`:                 "denied",
	`cause : "permission_denied"`:          "denied",
	`cause : "%"`:                          "back",
	`cause : "_declined_"`:                 "back",
	`cause : "d_clined"`:                   "",
	`cause:*`:                              "back denied parked unproven",
	`cause != ""`:                          "back denied parked unproven",
	`customer_id = "17850"`:                "waiting",
	`customer_id : "785"`:                  "waiting",
	`customer_id = "o'hara \"x\" \\"`:      "denied",
	`customer_id = 'c-1'`:                  "back done fresh parked paused unproven",
	`customer_id != "c-1"`:                 "denied waiting",
	`order_id = "ORDER"`:                   "done",
	`order_id != "ORDER"`:                  "back denied fresh parked paused unproven waiting",
	"amount = 1500":                        "parked",
	"amount != 750":                        "back parked unproven",
	"amount > 750":                         "back parked",
	"amount >= 750":                        "back denied done fresh parked paused waiting",
	"amount < 750":                         "unproven",
	"amount <= 1":                          "unproven",
	"currency = JPY":                       "back",
	"currency = jpy":                       "back",
	"currency != GBP":                      "back parked",
	"blocked_on = payment":                 "waiting",
	"blocked_on = inventory":               "back fresh",
	"blocked_on = shipment":                "",
	"blocked_on != payment":                "back denied done fresh parked paused unproven",
	`create_time < "THEN"`:                 "done parked",
	`create_time <= "THEN"`:                "done parked",
	`create_time >= "THEN"`:                "back denied fresh paused unproven waiting",
	`update_time > "THEN"`:                 "back denied fresh paused unproven waiting",
	`update_time = "2026-01-01T00:00:00Z"`: "",
	`create_time != "2026-01-01T00:00:00+02:00"`: everything,
	`age > "15m"`:   "done parked",
	`age >= "47h"`:  "done",
	`age < "30s"`:   "back denied fresh paused unproven",
	`age <= "900s"`: "back denied fresh paused unproven waiting",
	// OR binds more tightly than AND.
	"phase = parked AND currency = KWD":                           "parked",
	"phase = parked AND currency = KWD OR currency = JPY":         "parked",
	"(phase = parked AND currency = KWD) OR currency = JPY":       "back parked",
	"NOT (phase = parked OR phase = running)":                     "back done",
	`phase = parked AND cause : "unknown" AND NOT at_risk = true`: "unproven",
	`customer_id = "' OR true --"`:                                "",
	`customer_id = "'; DROP TABLE saga; --"`:                      "",
	`cause : "') > 0 OR true OR strpos('"`:                        "",
	`step = "$1"`:                                                 "",
}

func TestFilter_FindsWhatItSays(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	o := &orchestrator{pool: db}
	names := plantZoo(t, db)
	values := strings.NewReplacer(
		"ORDER", pgtest.Column[string](t, db, `SELECT 'ord_' || order_id FROM saga WHERE phase = 3`)[0],
		"THEN", clock().Add(-30*time.Minute).Format(time.RFC3339))
	for text, want := range finds {
		if got := found(t, o, values.Replace(text), names); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// refuses says where filters are wrong, and what about them.
var refuses = map[string]struct{ position, says string }{
	"colour = red":                  {"1", "no field colour"},
	"phase = parked AND colour = 1": {"20", "no field colour"},
	"phase":                         {"1", "a comparison is missing"},
	`"phase" = parked`:              {"1", "a field is missing"},
	"phase = asleep":                {"9", "running, compensating"},
	"phase = 5":                     {"9", "running, compensating"},
	"phase > parked":                {"1", "only with = !="},
	"phase : parked":                {"1", "only with = !="},
	"parked = yes":                  {"10", "is true or false"},
	"parked = 1":                    {"10", "is true or false"},
	"version = one":                 {"11", "whole number"},
	"version = 1.5":                 {"11", "minor units"},
	"amount > 10.00":                {"10", "minor units"},
	"amount = 99999999999999999999": {"10", ""},
	"amount : 5":                    {"1", "cannot be compared with :"},
	"customer_id = 17850":           {"15", "put the number in quotes"},
	"customer_id > a":               {"1", "only with = != :"},
	`customer_id = "a\x00b"`:        {"15", "no text"},
	"order_id = ord_0198c0de":       {"12", "ord_…"},
	"order_id = ord_0198-c0de":      {"20", ""},
	`order_id = "sag_0198c0de-0000-7000-8000-000000000000"`: {"12", "ord_…"},
	"currency = pounds":               {"12", "ISO 4217"},
	"blocked_on = bank":               {"14", "inventory, payment, shipment"},
	"blocked_on : pay":                {"1", "only with = !="},
	`create_time > "yesterday"`:       {"15", "RFC 3339"},
	"create_time > 2026-01-01":        {"19", ""},
	`create_time : "2026"`:            {"1", "cannot be compared with :"},
	`age > "a while"`:                 {"7", "duration"},
	`age > "-5m"`:                     {"7", "duration"},
	`age > 15`:                        {"7", "duration"},
	`age = "15m"`:                     {"1", "only with <"},
	"phase = parked paused = true":    {"16", "AND or OR is missing"},
	"phase = ":                        {"8", ""},
	"= parked":                        {"1", ""},
	"(phase = parked":                 {"16", ""},
	"phase = parked)":                 {"15", ""},
	`cause = "open`:                   {"9", ""},
	"lower(step) = ship":              {"1", "a field is missing"},
	"AND(a, b, c)":                    {"1", "no function AND"},
	"pg_sleep(10)":                    {"1", "no function pg_sleep"},
	"phase = parked; DROP TABLE saga": {"9", "running"},
	"é = 1 AND phase = nix":           {"1", "no field é"},
	`cause = "éé" AND phase = nix`:    {"26", "running"},
}

func TestFilter_RefusesNonsenseAndSaysWhere(t *testing.T) {
	t.Parallel()
	for text, want := range refuses {
		_, err := parseFilter(text, known)
		e := rpcerrtest.Want(t, err, rpcerr.FilterInvalid, "filter")
		if e.Metadata["position"] != want.position || !strings.Contains(e.Message, want.says) {
			t.Errorf("%s: got position %s, want %s: %s, want %q in it", text, e.Metadata["position"], want.position, e.Message, want.says)
		}
		if !strings.Contains(e.Message, "age, amount, at_risk, blocked_on") {
			t.Errorf("%s: the fields are not named: %s", text, e.Message)
		}
	}
}

// What people wrote is never part of the SQL.
func TestFilter_KeepsValuesOutOfTheSQL(t *testing.T) {
	t.Parallel()
	f, err := parseFilter(`customer_id = "injected" AND cause : "injected" AND blocked_on != payment`, map[definitionKey]saga.Definition{keyOf(orderV1): orderV1})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(f.Where, "injected") || strings.Contains(f.Where, "payment") {
		t.Errorf("a value is in the SQL: %s", f.Where)
	}
	want := []any{"injected", "injected", []string{"order", "order"}, []int32{1, 1}, []string{stepCharge, stepCharge}}
	if diff := cmp.Diff(want, f.Args[:5]); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

// FuzzFilter: whatever is written is either refused with a place in it, or SQL that Postgres understands.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"", "phase = parked", `cause : "x" AND age > "15m"`, "NOT (amount >= 5 OR currency = JPY)", "blocked_on != payment",
		`order_id = "ord_0198c0de-0000-7000-8000-000000000000"`, "a.b.c(d, (e)) = -0x7f", `"\xff" : '\0'`, "((((", "-phase=parked", "\x00",
		`create_time < "2026-01-01T00:00:00Z" OR paused = true`,
	} {
		f.Add(seed)
	}
	conn, err := pgx.Connect(f.Context(), pgtest.DSN(f, Migrations()...))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close(f.Context()) })
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseFilter(text, known)
		if err != nil {
			if !rpcerr.Is(err, rpcerr.FilterInvalid) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		rows, err := conn.Query(t.Context(), "SELECT 1"+sagasMatching+parsed.Where, parsed.Args...)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		if err != nil {
			t.Errorf("%q became %s with %v: %v", text, parsed.Where, parsed.Args, err)
		}
	})
}

// A filter for the live or the parked sagas, or for what a customer or an order has, is answered by index.
func TestFilter_FindsWhatPeopleAskForByIndex(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	for text, index := range map[string]string{
		"parked = true": "saga_parked", "phase = parked": "saga_parked", "blocked_on = payment": "saga_live",
		`customer_id = "c-1"`: "orders_of_customer", `order_id = "ord_0198c0de-0000-7000-8000-000000000000"`: "orders_pkey on orders ",
	} {
		f, err := parseFilter(text, known)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := db.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "SET LOCAL enable_seqscan = off"); err != nil {
			t.Fatal(err)
		}
		rows, err := tx.Query(t.Context(), "EXPLAIN SELECT s.id"+sagasMatching+f.Where, f.Args...)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(plan, "\n"), index) {
			t.Errorf("%s is answered without %s:\n%s", text, index, strings.Join(plan, "\n"))
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
