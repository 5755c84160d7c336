{{- define "hearth-edge.name" -}}
{{- printf "%s-edge" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "hearth-edge.labels" -}}
app.kubernetes.io/name: hearth-edge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
