{{- define "fanout.fullname" -}}
{{- if contains "fanout" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-fanout" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "fanout.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "fanout.selector" . }}
{{- end }}

{{- define "fanout.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fanout.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "fanout.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "fanout.image" -}}
{{- $repository := required "image.repository: the image with your modules" .Values.image.repository }}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}
{{- else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The pools over their defaults, checked: a map from their names. */ -}}
{{- define "fanout.pools" -}}
{{- $pools := dict }}
{{- range $name, $own := .Values.pools }}
{{- $pool := mergeOverwrite (deepCopy $.Values.poolDefaults) (deepCopy ($own | default dict)) }}
{{- $grace := include "fanout.grace" $pool | int }}
{{- if not $pool.modules }}{{ fail (printf "pools.%s.modules: say which modules its workers serve" $name) }}{{ end }}
{{- if lt $grace (add $pool.shutdownTimeout 11 | int) }}
{{- fail (printf "pools.%s.terminationGracePeriodSeconds: %d s are too short for shutdownTimeout: %v s: batches would be cut off before they have handed back what is left; say at least %d" $name $grace $pool.shutdownTimeout (add $pool.shutdownTimeout 11)) }}
{{- end }}
{{- if ne (empty $pool.deployment) (empty $pool.buildId) }}{{ fail (printf "pools.%s: deployment and buildId go together" $name) }}{{ end }}
{{- if $pool.keda.enabled }}
{{- if not $pool.taskQueue }}{{ fail (printf "pools.%s.taskQueue: KEDA must know which queue to look at" $name) }}{{ end }}
{{- if gt ($pool.keda.minReplicas | int) ($pool.keda.maxReplicas | int) }}{{ fail (printf "pools.%s.keda: minReplicas are more than maxReplicas" $name) }}{{ end }}
{{- if and (eq ($pool.keda.minReplicas | int) 0) (not $pool.keda.prometheusAddress) }}
{{- fail (printf "pools.%s.keda.minReplicas: 0 needs keda.prometheusAddress: a queue says nothing of batches that run, and the pods that run them would be taken away" $name) }}
{{- end }}
{{- if gt (mul $pool.processes $pool.maxBatches | int) 50 }}
{{- fail (printf "pools.%s: each pod runs %d batches at once (processes × maxBatches), so that hardly any would wait, and KEDA would start no further pod; say fewer maxBatches, such as 4" $name (mul $pool.processes $pool.maxBatches)) }}
{{- end }}
{{- end }}
{{- $_ := set $pools $name $pool }}
{{- end }}
{{- toYaml $pools }}
{{- end }}

{{- define "fanout.grace" -}}
{{- .terminationGracePeriodSeconds | default (add .shutdownTimeout 15) }}
{{- end }}

{{- /* Connection and store as environment: nothing secret, but where secrets are. */ -}}
{{- define "fanout.environment" -}}
- name: TEMPORAL_ADDRESS
  value: {{ required "temporal.address: host and port of the server" .Values.temporal.address | quote }}
- name: TEMPORAL_NAMESPACE
  value: {{ .Values.temporal.namespace | quote }}
{{- with .Values.temporal.apiKey }}
{{- if .secretName }}
- name: TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef: { name: {{ .secretName | quote }}, key: {{ .key | quote }} }
{{- end }}
{{- end }}
{{- with .Values.temporal.tls }}
{{- if .enabled }}
- name: TEMPORAL_TLS
  value: "true"
{{- end }}
{{- if .serverName }}
- name: TEMPORAL_TLS_SERVER_NAME
  value: {{ .serverName | quote }}
{{- end }}
{{- if .secretName }}
- name: TEMPORAL_TLS_CLIENT_CERT_PATH
  value: /etc/fanout/tls/{{ .certKey }}
- name: TEMPORAL_TLS_CLIENT_KEY_PATH
  value: /etc/fanout/tls/{{ .keyKey }}
{{- if .caKey }}
- name: TEMPORAL_TLS_SERVER_CA_CERT_PATH
  value: /etc/fanout/tls/{{ .caKey }}
{{- end }}
{{- end }}
{{- end }}
- name: FANOUT_STORE
  value: {{ required "store.url: where outputs go" .Values.store.url | quote }}
{{- with .Values.store.allowedRoots }}
- name: FANOUT_ALLOWED_ROOTS
  value: {{ join "," . | quote }}
{{- end }}
- name: FANOUT_LOG_FORMAT
  value: {{ .Values.logFormat | quote }}
- name: FANOUT_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
{{- end }}
