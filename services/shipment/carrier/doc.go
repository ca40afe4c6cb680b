// Package carrier is what the shipment service needs of a carrier, and a simulated one.
package carrier
