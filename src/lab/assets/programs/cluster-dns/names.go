package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	zone = "cluster.local."
	// ttl of every answer, in seconds: CoreDNS's kubernetes plugin has 5 where the Corefile's says 30; the
	// shorter one keeps no name alive longer than an outage lasts.
	ttl         = 5
	byClusterIP = "clusterIP"
	reverseZone = "in-addr.arpa."
)

// The outside world, as far as this cluster knows it: reserved names at a reserved address (RFC 2606, 5737).
var outside = map[string]string{"example.com.": "192.0.2.10", "www.example.com.": "192.0.2.10"}

// names is what is known of the cluster. The watches keep the last state while the API server is away.
type names struct {
	services, endpoints cache.Indexer
	// listed says whether the first lists are in; before that nothing is known, not even what does not exist.
	listed func() bool
}

func indexByClusterIP(object interface{}) ([]string, error) {
	service, ok := object.(*v1.Service)
	if !ok || service.Spec.ClusterIP == "" || service.Spec.ClusterIP == v1.ClusterIPNone {
		return nil, nil
	}
	return []string{service.Spec.ClusterIP}, nil
}

func (n *names) answer(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(request)
	if len(request.Question) != 1 {
		reply.Rcode = dns.RcodeFormatError
		return reply
	}
	question := request.Question[0]
	name := strings.ToLower(question.Name)
	switch {
	case (dns.IsSubDomain(zone, name) || dns.IsSubDomain(reverseZone, name)) && !n.listed():
		reply.Rcode = dns.RcodeServerFailure
	case dns.IsSubDomain(zone, name):
		records, exists := n.records(name, question)
		conclude(reply, zone, records, exists)
	case dns.IsSubDomain(reverseZone, name) && question.Qtype == dns.TypePTR && n.service(name) != nil:
		conclude(reply, reverseZone, []dns.RR{n.pointer(question.Name, n.service(name))}, true)
	case outside[name] != "":
		var records []dns.RR
		if question.Qtype == dns.TypeA {
			records = []dns.RR{addressRecord(question.Name, outside[name])}
		}
		reply.RecursionAvailable = true
		reply.Answer = records
	default:
		// CoreDNS would forward it; there is nowhere to forward to.
		reply.Rcode = dns.RcodeServerFailure
	}
	if request.IsEdns0() != nil {
		reply.SetEdns0(4096, false)
	}
	return reply
}

// conclude writes an authoritative answer: records, or an empty one for a name that exists, or NXDOMAIN; the
// last two with the SOA whose TTL says how long resolvers may remember it.
func conclude(reply *dns.Msg, owner string, records []dns.RR, exists bool) {
	reply.Authoritative = true
	reply.RecursionAvailable = true
	reply.Answer = records
	if len(records) > 0 {
		return
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	reply.Ns = []dns.RR{&dns.SOA{
		Hdr: header(owner, dns.TypeSOA),
		Ns:  "ns.dns." + zone, Mbox: "hostmaster." + zone,
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}}
}

// records finds the records of a name in the cluster's zone, and whether the name exists at all.
func (n *names) records(name string, question dns.Question) ([]dns.RR, bool) {
	labels := dns.SplitDomainName(strings.TrimSuffix(name, zone))
	if len(labels) == 0 {
		return nil, true
	}
	if len(labels) == 1 && labels[0] == "dns-version" && question.Qtype == dns.TypeTXT {
		return []dns.RR{&dns.TXT{Hdr: header(question.Name, dns.TypeTXT), Txt: []string{"1.1.0"}}}, true
	}
	if len(labels) == 3 && labels[2] == "pod" {
		return podRecords(labels[0], question)
	}
	if labels[len(labels)-1] != "svc" {
		return nil, false
	}
	labels = labels[:len(labels)-1]
	switch len(labels) {
	case 0:
		return nil, true
	case 1:
		return nil, n.hasNamespace(labels[0])
	case 2:
		service := n.byName(labels[1], labels[0])
		if service == nil {
			return nil, false
		}
		return n.ofService(service, question), true
	case 3:
		service := n.byName(labels[2], labels[1])
		if service == nil {
			return nil, false
		}
		addresses := n.endpointAddresses(service, labels[0])
		if question.Qtype == dns.TypeA {
			return addressRecords(question.Name, addresses), len(addresses) > 0
		}
		return nil, len(addresses) > 0
	case 4:
		return n.portRecords(labels, question)
	}
	return nil, false
}

func (n *names) ofService(service *v1.Service, question dns.Question) []dns.RR {
	if service.Spec.Type == v1.ServiceTypeExternalName {
		if question.Qtype != dns.TypeA && question.Qtype != dns.TypeAAAA && question.Qtype != dns.TypeCNAME {
			return nil
		}
		target := dns.Fqdn(service.Spec.ExternalName)
		return []dns.RR{&dns.CNAME{Hdr: header(question.Name, dns.TypeCNAME), Target: target}}
	}
	if question.Qtype != dns.TypeA {
		return nil
	}
	if service.Spec.ClusterIP != v1.ClusterIPNone {
		return addressRecords(question.Name, []string{service.Spec.ClusterIP})
	}
	return addressRecords(question.Name, n.endpointAddresses(service, ""))
}

// portRecords answers _port._protocol.service.namespace.svc.cluster.local.
func (n *names) portRecords(labels []string, question dns.Question) ([]dns.RR, bool) {
	service := n.byName(labels[3], labels[2])
	if service == nil {
		return nil, false
	}
	for _, port := range service.Spec.Ports {
		if "_"+port.Name != labels[0] || "_"+strings.ToLower(string(port.Protocol)) != labels[1] {
			continue
		}
		if question.Qtype != dns.TypeSRV {
			return nil, true
		}
		return []dns.RR{&dns.SRV{
			Hdr: header(question.Name, dns.TypeSRV), Priority: 0, Weight: 100, Port: uint16(port.Port),
			Target: fullName(service),
		}}, true
	}
	return nil, false
}

// podRecords answers 10-1-2-3.namespace.pod.cluster.local from the name alone ("pods insecure").
func podRecords(label string, question dns.Question) ([]dns.RR, bool) {
	address := net.ParseIP(strings.ReplaceAll(label, "-", "."))
	if address == nil || address.To4() == nil {
		return nil, false
	}
	if question.Qtype != dns.TypeA {
		return nil, true
	}
	return addressRecords(question.Name, []string{address.String()}), true
}

// endpointAddresses are the ready addresses behind a Service; with a host name only those that carry it.
func (n *names) endpointAddresses(service *v1.Service, hostname string) []string {
	object, found, err := n.endpoints.GetByKey(service.Namespace + "/" + service.Name)
	if err != nil || !found {
		return nil
	}
	var addresses []string
	for _, subset := range object.(*v1.Endpoints).Subsets {
		listed := subset.Addresses
		if service.Spec.PublishNotReadyAddresses {
			listed = append(append([]v1.EndpointAddress{}, listed...), subset.NotReadyAddresses...)
		}
		for _, address := range listed {
			named := address.Hostname
			if named == "" {
				named = strings.ReplaceAll(address.IP, ".", "-")
			}
			if hostname == "" || hostname == named {
				addresses = append(addresses, address.IP)
			}
		}
	}
	return addresses
}

func (n *names) byName(namespace, name string) *v1.Service {
	object, found, err := n.services.GetByKey(namespace + "/" + name)
	if err != nil || !found {
		return nil
	}
	return object.(*v1.Service)
}

func (n *names) hasNamespace(namespace string) bool {
	for _, key := range n.services.ListKeys() {
		if strings.HasPrefix(key, namespace+"/") {
			return true
		}
	}
	return false
}

// service finds the Service whose address a reverse name spells.
func (n *names) service(name string) *v1.Service {
	labels := dns.SplitDomainName(strings.TrimSuffix(name, reverseZone))
	if len(labels) != 4 {
		return nil
	}
	address := fmt.Sprintf("%s.%s.%s.%s", labels[3], labels[2], labels[1], labels[0])
	objects, err := n.services.ByIndex(byClusterIP, address)
	if err != nil || len(objects) == 0 {
		return nil
	}
	return objects[0].(*v1.Service)
}

func (n *names) pointer(name string, service *v1.Service) dns.RR {
	return &dns.PTR{Hdr: header(name, dns.TypePTR), Ptr: fullName(service)}
}

func fullName(service *v1.Service) string {
	return service.Name + "." + service.Namespace + ".svc." + zone
}

func addressRecords(name string, addresses []string) []dns.RR {
	var records []dns.RR
	for _, address := range addresses {
		records = append(records, addressRecord(name, address))
	}
	return records
}

func addressRecord(name, address string) dns.RR {
	return &dns.A{Hdr: header(name, dns.TypeA), A: net.ParseIP(address)}
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}
