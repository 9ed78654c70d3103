{{- define "fraudops.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fraudops.fullname" -}}
{{- $name := include "fraudops.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "fraudops.operator" -}}
{{- printf "%s-operator" (include "fraudops.fullname" .) }}
{{- end }}

{{- define "fraudops.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "fraudops.operator" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "fraudops.selector" -}}
app.kubernetes.io/name: fraudops-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fraudops.labels" -}}
{{ include "fraudops.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: fraudops
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "fraudops.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "fraudops.scorerImage" -}}
{{- default (printf "ghcr.io/fraudops/scorer:%s" .Chart.AppVersion) .Values.scorer.image }}
{{- end }}

{{- /* What the operator does in a namespace with FraudModels: the only list of these rights. */}}
{{- define "fraudops.rules" -}}
- apiGroups: [fraudops.dev]
  resources: [fraudmodels]
  verbs: [get, list, watch]
- apiGroups: [fraudops.dev]
  resources: [fraudmodels/status]
  verbs: [patch]
{{- /* blockOwnerDeletion, where the API server asks for it (OwnerReferencesPermissionEnforcement). */}}
- apiGroups: [fraudops.dev]
  resources: [fraudmodels/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [serviceaccounts, services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [traefik.io]
  resources: [ingressroutes, serverstransports, traefikservices]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [cert-manager.io]
  resources: [certificates, issuers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [list, watch, create, patch, delete]
{{- /* The first key of receipts. To create, never to read: a name that is taken is left alone. */}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- /* The operator writes the ids of spec.lists[].values into a ConfigMap, and needs to know when one of the user's changes:
of those it asks for the metadata only, never the content, which RBAC cannot tell apart. */}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, create, patch, delete]
{{- /* patch: one annotation on a model's own pods, so that their kubelets take a changed list over at once. Whoever may
patch Deployments, as above, may as well change pods: this adds no power over them. */}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "fraudops.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: FRAUDOPS_IDENTITY
  value: $(POD_NAME)
- name: FRAUDOPS_NAMESPACE
  value: {{ .Release.Namespace }}
- name: FRAUDOPS_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: FRAUDOPS_SCORER_IMAGE
  value: {{ include "fraudops.scorerImage" . | quote }}
- name: FRAUDOPS_INSECURE_REGISTRIES
  value: {{ join "," .Values.insecureRegistries | quote }}
- name: FRAUDOPS_TRAEFIK_SELECTOR
  value: {{ .Values.traefikSelector | quote }}
- name: FRAUDOPS_MONITORING_SELECTOR
  value: {{ .Values.monitoringSelector | quote }}
- name: FRAUDOPS_LEASE_DURATION
  value: {{ .Values.leaseDuration | quote }}
- name: FRAUDOPS_RESYNC
  value: {{ .Values.resync | quote }}
- name: FRAUDOPS_REMOVAL_DELAY
  value: {{ .Values.removalDelay | quote }}
- name: FRAUDOPS_SETTLING_DELAY
  value: {{ .Values.settlingDelay | quote }}
- name: FRAUDOPS_LOG_FORMAT
  value: {{ .Values.logFormat }}
- name: FRAUDOPS_LOG_FILTER
  value: {{ .Values.logFilter | quote }}
{{- with .Values.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ $.Release.Namespace }},k8s.pod.name=$(POD_NAME),service.instance.id=$(POD_NAME)
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
