{{/* The name of all that belongs to a release. */}}
{{- define "parlance.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "parlance.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "parlance.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "parlance.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "parlance.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "parlance.name" .) -}}
{{- end -}}

{{/*
Settings as environment variables, of a dict with `prefix` and `values`: a section within a section is another `__`, a list has
commas. Numbers are written as JSON does, since Helm has them as floats.
*/}}
{{- define "parlance.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .values }}
{{- $variable := printf "%s%s" $prefix (upper $name) }}
{{- if kindIs "map" $value }}
{{- include "parlance.settings" (dict "prefix" (printf "%s__" $variable) "values" $value) }}
{{- else }}
{{- $text := $value }}
{{- if kindIs "slice" $value }}{{ $text = join "," $value }}{{ else if not (kindIs "string" $value) }}{{ $text = toJson $value }}{{ end }}
{{- if ne $text "" }}
- name: {{ $variable }}
  value: {{ $text | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What can't be right together, in words. */}}
{{- define "parlance.check" -}}
{{- if and .Values.serviceMonitor.enabled (dig "gateway" "hosts" list .Values.settings) -}}
{{- fail "settings.gateway.hosts: Prometheus asks by addresses, which would be refused; name hosts in the ingress, or leave serviceMonitor off" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not (dig "gateway" "proxies" list .Values.settings)) -}}
{{- fail "settings.gateway.proxies: name the ingress's addresses or networks, or all clients count as one" -}}
{{- end -}}
{{- if le (int .Values.termination.gracePeriodSeconds) (add 20 .Values.termination.preStopSeconds | int) -}}
{{- fail "termination.gracePeriodSeconds: a node needs 20 s and more after preStopSeconds to hand over what it has" -}}
{{- end -}}
{{- end -}}
