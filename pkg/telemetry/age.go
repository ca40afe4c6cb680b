package telemetry

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// MoneyInLimbo is the one metric that several services tell of, each of the money that it has a reason for, and
// MoneyInLimboMeans what it says.
const (
	MoneyInLimbo      = "tieout.money.in_limbo"
	MoneyInLimboMeans = "Money at risk in parked sagas, and money of operations whose outcome is not known, in minor units of its currency, by why and age. The two may be about the same money."
)

// AgeClass is one of the classes that the metrics tell ages in.
type AgeClass int

// AgeClasses is how many classes there are.
const AgeClasses = len(ageNames)

var ageNames = [...]string{"below 1m", "below 1h", "below 1d", "1d and more"}

// String is the class' name, as the metrics label it.
func (c AgeClass) String() string { return ageNames[c] }

// AgeClassOf is the class of an age.
func AgeClassOf(age time.Duration) AgeClass {
	bounds := AgeBounds()
	i, exactly := slices.BinarySearch(bounds, age.Seconds())
	if exactly {
		i++
	}
	return AgeClass(i)
}

// ByAge is how much there is of something in each class of age.
type ByAge [AgeClasses]int64

// Observe tells all of it, with labels and the age.
func (b *ByAge) Observe(o metric.Observer, to metric.Int64Observable, labels ...attribute.KeyValue) {
	for class, n := range b {
		o.ObserveInt64(to, n, metric.WithAttributes(append(slices.Clip(labels), attribute.String("age", AgeClass(class).String()))...))
	}
}

// AgeBounds are the ages, in seconds, at which a class ends and the next begins: width_bucket(age, bounds) is the class in SQL.
func AgeBounds() []float64 { return []float64{60, 3600, 86400} }
