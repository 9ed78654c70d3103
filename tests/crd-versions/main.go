// Checks a CustomResourceDefinition as a kube-apiserver of one minor version would: the same code of that version's
// module validates the schema, compiles the CEL rules and estimates their cost.
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: crd-versions FILE")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(apiextensions.SchemeGroupVersion).Decode(text, nil, nil)
	if err != nil {
		fail(err.Error())
	}
	crd, right := object.(*apiextensions.CustomResourceDefinition)
	if !right {
		fail(fmt.Sprintf("%s holds a %T", os.Args[1], object))
	}
	// What the API server fills in when the object is created.
	crd.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	problems := validation.ValidateCustomResourceDefinition(context.Background(), crd)
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(2)
}
