{{- define "numawise.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list ROOT COMPONENT): what selects the pods of a role; it never changes. */}}
{{- define "numawise.selector" -}}
app.kubernetes.io/name: numawise
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end -}}

{{/* (list ROOT COMPONENT): the labels of an object. */}}
{{- define "numawise.labels" -}}
{{- $root := index . 0 -}}
{{ include "numawise.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: numawise
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "numawise.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list ROOT ROLE): the name of a role's ServiceAccount. */}}
{{- define "numawise.account" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- (index $root.Values $role).serviceAccount.name | default (printf "%s-%s" (include "numawise.fullname" $root) $role) -}}
{{- end -}}

{{/* (list ROOT ROLE NAMESPACE): a role's ServiceAccount. */}}
{{- define "numawise.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- with (index $root.Values $role).serviceAccount -}}
{{- if .create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "numawise.account" (list $root $role) }}
  namespace: {{ index $ 2 }}
  labels: {{- include "numawise.labels" (list $root $role) | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
---
{{ end -}}
{{- end -}}
{{- end -}}

{{/* (list ROOT ROLE): the head of the spec of a role's pods. */}}
{{- define "numawise.pod" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- with index $root.Values $role -}}
serviceAccountName: {{ include "numawise.account" (list $root $role) }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with get . "schedulerName" }}
schedulerName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get . "topologySpreadConstraints" }}
topologySpreadConstraints:
{{- range . }}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "numawise.selector" (list $root $role) | fromYaml)) }}
- {{- mergeOverwrite $own (deepCopy .) | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* (list ROOT ROLE): image, resources and rights of a role's container. */}}
{{- define "numawise.container" -}}
{{- $root := index . 0 -}}
{{- with index $root.Values (index . 1) -}}
name: numawise
image: {{ include "numawise.image" $root }}
{{- with $root.Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- with .resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .securityContext | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* (list ROOT ROLE): the annotations of a role's pods; numawise itself lets them pass on every node. */}}
{{- define "numawise.podAnnotations" -}}
orchestration.gokore.io/ignore: "true"
{{- with (index (index . 0).Values (index . 1)).podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "numawise.podLabels" -}}
{{ include "numawise.selector" . }}
{{- with (index (index . 0).Values (index . 1)).podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The files that numawise reads. Settings are shared; what another role alone reads, and what is as it is anyway, is left out.
*/}}
{{- define "numawise.settings" -}}
{{- $config := deepCopy .Values.config -}}
{{- if dig "source" "events" false $config }}
{{- $_ := set $config "source" (omit $config.source "events") }}
{{- end }}
{{- range $key, $value := $config }}
{{- if not $value }}
{{- $_ := unset $config $key }}
{{- end }}
{{- end }}
{{- toYaml $config -}}
{{- end -}}

{{- define "numawise.extender.config" -}}
{{- $tls := dict "certFile" "/etc/numawise/tls/tls.crt" "keyFile" "/etc/numawise/tls/tls.key"
    "clientCAFile" "/etc/numawise/tls/ca.crt" "allowedNames" .Values.extender.tls.allowedNames -}}
{{- $listeners := dict "extender" (dict "address" "0.0.0.0:8443" "tls" $tls) "operator" (dict "address" "off")
    "console" (dict "address" "0.0.0.0:8789") -}}
{{- include "numawise.config" (dict "settings" (omit (include "numawise.settings" . | fromYaml) "admission" "operator") "listeners" $listeners) -}}
{{- end -}}

{{- define "numawise.operator.config" -}}
{{- $tls := dict "certFile" "/etc/numawise/tls/tls.crt" "keyFile" "/etc/numawise/tls/tls.key" -}}
{{- $listeners := dict "extender" (dict "address" "off") "operator" (dict "address" "0.0.0.0:8788" "tls" $tls)
    "console" (dict "address" "0.0.0.0:8789") -}}
{{- $lease := dict "lease" (printf "%s/%s-operator" .Release.Namespace (include "numawise.fullname" .)) -}}
{{- include "numawise.config" (dict "settings" (omit (include "numawise.settings" . | fromYaml) "extender" "admission")
    "listeners" $listeners "operator" $lease) -}}
{{- end -}}

{{- define "numawise.admission.config" -}}
{{- $tls := dict "certFile" "/etc/numawise/tls/tls.crt" "keyFile" "/etc/numawise/tls/tls.key" -}}
{{- $listeners := dict "extender" (dict "address" "off") "operator" (dict "address" "off")
    "admission" (dict "address" "0.0.0.0:8443" "tls" $tls) "console" (dict "address" "0.0.0.0:8789") -}}
{{- /* events of nodes are the extender's */ -}}
{{- include "numawise.config" (dict "settings" (omit (include "numawise.settings" . | fromYaml) "extender" "operator")
    "listeners" $listeners "source" (dict "events" false)) -}}
{{- end -}}

{{/* Beside kube-scheduler, on its host: the listeners are on loopback. */}}
{{- define "numawise.host.config" -}}
{{- $settings := omit (include "numawise.settings" . | fromYaml) "admission" "operator" -}}
{{- $source := merge (dict "kubeconfig" "/etc/kubernetes/numawise.conf") (get $settings "source" | default dict) -}}
{{- include "numawise.config" (dict "settings" (set $settings "source" $source)
    "listeners" (dict "operator" (dict "address" "off"))) -}}
{{- end -}}

{{- define "numawise.config" -}}
apiVersion: numawise.config.gokore.io/v1alpha1
kind: NumawiseConfiguration
{{ merge (omit . "settings") .settings | toYaml }}
{{- end -}}

{{- define "numawise.egress" -}}
- ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
